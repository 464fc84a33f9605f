//! What the host does when the input topic is not the one that it read before, or lacks records.

/// The settings about the content of the input topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputPolicy {
    /// See [`OnTopicRecreated`].
    pub on_topic_recreated: OnTopicRecreated,
    /// See [`OnGap`].
    pub on_gap: OnGap,
    /// Whether dead letters of a host are allowed as input.
    pub input_is_dead_letters: bool,
}

/// What to do when the input topic was deleted and created again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTopicRecreated {
    /// Read the new topic from its beginning.
    Restart,
    /// End the host.
    Halt,
}

/// What to do when records were removed before the host read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// Count them and go on behind them.
    Continue,
    /// End the host.
    Halt,
}
