//! The kinds of failures, and where their fault lies.

use std::fmt;

/// The kind of a failure. Headers, logs and metrics use [`FailureKind::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// The mapper returned an error.
    Rejected,
    /// The guest trapped.
    Trap,
    /// The guest exceeded its time limit.
    Timeout,
    /// The guest exceeded its memory limit.
    OutOfMemory,
    /// The output of the guest violates the contract.
    InvalidOutput,
    /// An output exceeds the limit of its topic, or the outputs of a record exceed the limit of a guest.
    Oversize,
    /// The broker rejected an output for its content, or certainly would.
    Undeliverable,
    /// The record crashed the host several times. The mapper does not get it any more.
    HostCrash,
    /// The key or the value does not fit its schema, or has none. The mapper does not get the record.
    Undecodable,
    /// An output does not fit its schema.
    Unencodable,
}

impl FailureKind {
    pub const ALL: [Self; 10] = [
        Self::Rejected,
        Self::Trap,
        Self::Timeout,
        Self::OutOfMemory,
        Self::InvalidOutput,
        Self::Oversize,
        Self::Undeliverable,
        Self::HostCrash,
        Self::Undecodable,
        Self::Unencodable,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out-of-memory",
            Self::InvalidOutput => "invalid-output",
            Self::Oversize => "oversize",
            Self::Undeliverable => "undeliverable",
            Self::HostCrash => "host-crash",
            Self::Undecodable => "undecodable",
            Self::Unencodable => "unencodable",
        }
    }
}

/// Where the fault of a failure lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The guest as a whole: it did not return from its call.
    Guest,
    /// The record, or what the guest made of it: the guest returned.
    Record,
    /// A topic that does not take what was made.
    Topic,
    /// The guest was not called: it crashed the host before.
    Host,
    /// The guest was not called: the record does not fit its schema.
    Input,
}

impl FailureKind {
    /// Where the fault lies.
    pub fn blame(self) -> Blame {
        match self {
            Self::Trap | Self::Timeout | Self::OutOfMemory => Blame::Guest,
            Self::Rejected | Self::InvalidOutput | Self::Oversize | Self::Unencodable => Blame::Record,
            Self::Undeliverable => Blame::Topic,
            Self::HostCrash => Blame::Host,
            Self::Undecodable => Blame::Input,
        }
    }

    /// Whether the guest did not return from its call.
    pub fn is_crash(self) -> bool {
        self.blame() == Blame::Guest
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
