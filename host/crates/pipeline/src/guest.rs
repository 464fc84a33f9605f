//! What a mapper reports of the guests that it runs.

/// Why an instance was replaced by a new one. The word that [`Renewal::name`] gives is used in logs and metrics alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// A call into it failed, or it was denied memory: it is not entered again.
    Failure,
    /// It has mapped as many records as `--recycle-after` allows.
    Count,
    /// Its memory had grown near the limit.
    Memory,
}

impl Renewal {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Failure, Self::Count, Self::Memory];

    /// The reason as one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Count => "count",
            Self::Memory => "memory",
        }
    }
}

/// Gets what a mapper does with its guests.
pub trait GuestObserver: Send + Sync {
    /// An instance was given up, and a new one takes its place.
    fn renewed(&self, reason: Renewal);

    /// The linear memory of the instance after a batch, in bytes.
    fn set_memory(&self, bytes: u64);
}
