//! The command line.

pub(crate) mod args;
pub(crate) mod bench;
pub(crate) mod config_file;
pub(crate) mod exit;
pub(crate) mod fleet;
pub(crate) mod single;
