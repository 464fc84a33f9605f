//! Errors about dead letters that the admin API answers with a status of their own.

use mapper_core::shutdown::{Cause, Halt};

#[derive(Debug, thiserror::Error)]
pub(crate) enum LetterError {
    /// No letter is selected, but the operation needs one.
    #[error("{0}")]
    NothingSelected(String),
    /// Several groups are selected, but the operation needs one.
    #[error("{0}")]
    Ambiguous(String),
    /// The dead-letter topic does not exist.
    #[error("{0}")]
    MissingTopic(String),
    /// Another redrive of the topic runs.
    #[error("{0}")]
    Claimed(String),
    /// The client or the host has ended the scan.
    #[error("the scan of the topic was ended before its end, because nobody waits for it or the host ends")]
    Cancelled,
}

impl From<LetterError> for Halt {
    fn from(error: LetterError) -> Self {
        let cause = match error {
            LetterError::NothingSelected(_) | LetterError::Cancelled => Cause::Internal,
            LetterError::Ambiguous(_) | LetterError::MissingTopic(_) | LetterError::Claimed(_) => Cause::Configuration,
        };
        Self::new(cause, error)
    }
}
