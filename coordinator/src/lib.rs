//! The coordinator as a library: the command line over the [`fleet`] that runs a sweep's tasks.

pub mod admission;
pub mod cli;
pub mod commands;
pub mod dashboard;
pub mod embedded;
pub mod exit;
pub mod fleet;
pub mod format;
pub mod interrupt;
pub mod linger;
pub mod meter;
pub mod ops;
pub mod outcome;
pub mod progress;
pub mod scaler;
pub mod seams;
pub mod weights;
