//! What can go wrong between the tables and an answer.

use results::StoreError;

use crate::question::QuestionError;

/// Why a question could not be answered from the tables.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The tables cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The question has no answer.
    #[error(transparent)]
    Question(#[from] QuestionError),
}
