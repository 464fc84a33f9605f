//! The policy for a recreated input topic and for missing records.

/// The settings about the content of the input topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputPolicy {
    pub on_topic_recreated: OnTopicRecreated,
    pub on_gap: OnGap,
    /// Whether the input topic may contain dead letters.
    pub input_is_dead_letters: bool,
}

/// The reaction to a recreated input topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTopicRecreated {
    /// Reads the new topic from its beginning.
    Restart,
    /// Ends the host.
    Halt,
}

/// The reaction to records that were removed before the host read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// Counts them and continues after them.
    Continue,
    /// Ends the host.
    Halt,
}
