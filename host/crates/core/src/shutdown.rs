//! How work is asked to end, and why it ended.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request to end, shared by all threads. Cheap to clone.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<(Mutex<bool>, Condvar)>);

impl Shutdown {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all threads to end.
    pub fn request(&self) {
        *self.lock() = true;
        self.0.1.notify_all();
    }

    /// Whether they are asked to.
    pub fn requested(&self) -> bool {
        *self.lock()
    }

    /// Sleeps, but not beyond a request.
    pub fn sleep(&self, duration: Duration) {
        let until = Instant::now() + duration;
        let mut requested = self.lock();
        while !*requested {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            requested = self.0.1.wait_timeout(requested, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Why the host ended other than by request, as its exit code tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A mistake of ours, or of the machine.
    Internal,
    /// The configuration is wrong; nothing was begun.
    Configuration,
    /// The plugin can't be used.
    Plugin,
    /// Kafka can't be reached, or refuses for good; nothing beyond the last commit was done.
    Kafka,
    /// The plugin fails on too much; nothing beyond the last commit was done.
    Failing,
}

impl Cause {
    /// The exit code of the process (documented in the README).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Configuration => 2,
            Self::Plugin => 3,
            Self::Kafka => 4,
            Self::Failing => 5,
        }
    }
}

/// The end of the host for a reason that a person must look at.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Halt {
    /// What kind of reason.
    pub cause: Cause,
    /// The reason in words, with the way out.
    pub reason: String,
}

impl Halt {
    /// Kafka can't be reached, or refuses for good.
    pub fn kafka(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Kafka, reason: reason.into() }
    }

    /// The plugin can't be used.
    pub fn plugin(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Plugin, reason: reason.into() }
    }

    /// The plugin fails on too much.
    pub fn failing(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Failing, reason: reason.into() }
    }

    /// The configuration is wrong.
    pub fn configuration(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Configuration, reason: reason.into() }
    }

    /// A mistake of ours, or of the machine.
    pub fn internal(error: &anyhow::Error) -> Self {
        Self { cause: Cause::Internal, reason: format!("{error:#}") }
    }
}
