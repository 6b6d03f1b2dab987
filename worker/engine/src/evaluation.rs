//! Evaluation: what the trained network is scored on.

use crate::config::Range;
use crate::config::declare::section;

section! {
    /// The held-out sets. They depend on the market alone, so every run in a market cell is scored on the same paths.
    pub struct Evaluation {
        /// Number of validation paths; 0 for no validation.
        validation_paths: u64 = 1000, Range::closed(0.0, 1e7);
        /// Number of test paths; 0 for no test.
        test_paths: u64 = 1000, Range::closed(0.0, 1e7);
    }
}
