//! Whole-system tests: the real binaries, real files, real signals.

mod bad_input;
mod chaos;
mod compare;
mod docker;
mod durability;
mod equivalence;
mod extend;
mod fleet;
mod hedging;
mod interop;
mod k8s;
mod logs;
mod ops;
mod plan;
mod prometheus;
mod replay;
mod report;
mod s3;
mod scaler;
mod shards;
mod siege;
mod watch;
