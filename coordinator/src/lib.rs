//! The coordinator as a library: the command line over the [`fleet`] that runs a sweep's tasks.

pub mod cli;
pub mod commands;
mod embedded;
pub mod exit;
pub mod fleet;
mod format;
mod interrupt;
mod outcome;
mod progress;
mod seams;
mod weights;
