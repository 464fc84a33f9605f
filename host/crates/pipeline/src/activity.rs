//! What a worker does, and how long each step may take.

use std::time::Duration;

/// How long each step takes at most, also while Kafka is away: a step that waits for it ends with an error then, and is tried again.
/// Fetching waits for nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepLimits {
    /// Making the clients ready.
    pub starting: Duration,
    /// Getting what the mapper needs for one batch from elsewhere.
    pub preparing: Duration,
    /// The mapping of one batch.
    pub mapping: Duration,
    /// Handing outputs to the producer.
    pub producing: Duration,
    /// A commit.
    pub committing: Duration,
    /// One attempt to go back to the committed offsets.
    pub recovering: Duration,
    /// Closing the clients.
    pub leaving: Duration,
}

/// What a worker is doing. The word that [`Activity::name`] gives is used in `/status` and `/livez`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Making its clients ready.
    Starting,
    /// Waiting for records.
    Fetching,
    /// Getting what the mapper needs from elsewhere, such as schemas.
    Preparing,
    /// In the plugin.
    Mapping,
    /// Handing outputs and dead letters to the producer.
    Producing,
    /// Committing.
    Committing,
    /// Going back to the committed offsets; each attempt counts by itself.
    Recovering,
    /// Everything that it will commit is committed; it closes its clients.
    Leaving,
    /// It ended with a clean shutdown.
    Ended,
    /// It has ended otherwise.
    Failed,
}

impl Activity {
    /// Every activity.
    pub const ALL: [Self; 10] = [
        Self::Starting,
        Self::Fetching,
        Self::Preparing,
        Self::Mapping,
        Self::Producing,
        Self::Committing,
        Self::Recovering,
        Self::Leaving,
        Self::Ended,
        Self::Failed,
    ];

    /// The activity as one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Fetching => "fetching",
            Self::Preparing => "preparing",
            Self::Mapping => "mapping",
            Self::Producing => "producing",
            Self::Committing => "committing",
            Self::Recovering => "recovering",
            Self::Leaving => "leaving",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// How long it takes at most; `None`: it has no end.
    pub fn limit(self, limits: &StepLimits) -> Option<Duration> {
        match self {
            Self::Starting => Some(limits.starting),
            Self::Fetching | Self::Failed => Some(Duration::ZERO),
            Self::Preparing => Some(limits.preparing),
            Self::Mapping => Some(limits.mapping),
            Self::Producing => Some(limits.producing),
            Self::Committing => Some(limits.committing),
            Self::Recovering => Some(limits.recovering),
            Self::Leaving => Some(limits.leaving),
            Self::Ended => None,
        }
    }
}
