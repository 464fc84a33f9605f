//! Errors about dead letters that the admin API answers with a status of their own.

use mapper_core::shutdown::{Cause, Halt};
use mapper_versions::swapper::Refusal;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LetterError {
    /// No letter is selected, but the operation needs one.
    #[error("{0}")]
    NothingSelected(String),
    /// What was given can't be used, for example the beginning of several fingerprints.
    #[error("{0}")]
    Invalid(String),
    /// The dead-letter topic does not exist.
    #[error("{0}")]
    MissingTopic(String),
    /// Another redrive of the topic runs.
    #[error("{0}")]
    Claimed(String),
    /// The plugin can't be used.
    #[error("the plugin is refused at the step {}: {}", .0.step, .0.reason)]
    Plugin(Refusal),
    /// The client or the host has ended the scan.
    #[error("the scan of the topic was ended before its end, because nobody waits for it or the host ends")]
    Cancelled,
}

impl From<LetterError> for Halt {
    fn from(error: LetterError) -> Self {
        let cause = match error {
            LetterError::NothingSelected(_) | LetterError::Cancelled => Cause::Internal,
            LetterError::Plugin(_) => Cause::Plugin,
            LetterError::Invalid(_) | LetterError::MissingTopic(_) | LetterError::Claimed(_) => Cause::Configuration,
        };
        Self::new(cause, error)
    }
}
