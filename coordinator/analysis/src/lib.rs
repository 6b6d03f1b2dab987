//! Statistics over the results: pure functions over columns and slices.
//!
//! The unit of replication is the seed. Arms are paired by seed within a cell, so that both have seen the same weights
//! and paths.

mod across;
mod battery;
pub mod compare;
pub mod convergence;
pub mod error;
mod markets;
mod matched;
pub mod median;
pub mod pooled;
pub mod question;
pub mod reference;
pub mod report;
pub mod runs;
pub mod sensitivity;
mod source;
pub mod sources;
pub mod stats;
pub mod summary;
pub mod tuning;
pub mod within;

pub use across::ALL_CELLS;
pub use compare::compare;
pub use convergence::convergence;
pub use error::AnswerError;
pub use pooled::pooled;
pub use question::{Pair, Question, QuestionError, Tune};
pub use reference::reference_columns;
pub use runs::Runs;
pub use sensitivity::{Level, Sensitivity, sensitivity};
pub use sources::Sources;
pub use summary::{Block, Line, ranking, summarise};
pub use tuning::{Budget, Choice, Tuning};
pub use within::within;
