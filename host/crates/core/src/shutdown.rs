//! Shutdown requests, and the causes of an early end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A shutdown request. Clones share it.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<(Mutex<bool>, Condvar)>);

impl Shutdown {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn request(&self) {
        *self.lock() = true;
        self.0.1.notify_all();
    }

    pub fn requested(&self) -> bool {
        *self.lock()
    }

    /// Sleeps, until a shutdown request at most.
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

/// The cause of an early end; each has an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A bug of the host, or a fault of the machine.
    Internal,
    /// The configuration is invalid. The host has not started.
    Configuration,
    /// The plugin is unusable.
    Plugin,
    /// Kafka is unreachable or returned a fatal error. Nothing after the last commit is visible.
    Kafka,
    /// The plugin fails on too many records. Nothing after the last commit is visible.
    Failing,
}

impl Cause {
    /// The exit code of the process.
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

/// An error that ends the host.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Halt {
    pub cause: Cause,
    /// The reason, and how to fix it.
    pub reason: String,
}

impl Halt {
    pub fn kafka(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Kafka, reason: reason.into() }
    }

    pub fn plugin(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Plugin, reason: reason.into() }
    }

    pub fn failing(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Failing, reason: reason.into() }
    }

    pub fn configuration(reason: impl Into<String>) -> Self {
        Self { cause: Cause::Configuration, reason: reason.into() }
    }

    pub fn internal(error: &anyhow::Error) -> Self {
        Self { cause: Cause::Internal, reason: format!("{error:#}") }
    }
}
