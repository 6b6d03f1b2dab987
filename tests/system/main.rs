//! Whole-system tests: the real binaries, real files, real signals.

mod bad_input;
mod compare;
mod equivalence;
mod extend;
mod hedging;
mod interop;
mod plan;
mod replay;
