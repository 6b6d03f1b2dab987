//! Whole-system tests: the real binaries, real files, real signals.

mod bad_input;
mod equivalence;
mod extend;
mod hedging;
mod interop;
mod plan;
mod replay;
mod report;
