//! The coordinator as a library: the [`fleet`] that runs a sweep's tasks.

pub mod fleet;
