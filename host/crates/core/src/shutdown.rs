//! Shutdown requests, and the causes of an early end.

use std::error::Error;
use std::fmt;
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
    /// An audit has found records that are missing, duplicated or unexplained.
    Audit,
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
            Self::Audit => 6,
        }
    }
}

/// An error that ends the host. Its text is the outermost message; [`Halt::reason`] has those of its sources, too.
#[derive(Debug)]
pub struct Halt {
    pub cause: Cause,
    error: anyhow::Error,
}

impl Halt {
    /// `error` has the reason, and how to fix it.
    pub fn new(cause: Cause, error: impl Into<anyhow::Error>) -> Self {
        Self { cause, error: error.into() }
    }

    fn with_message(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, error: anyhow::Error::msg(reason.into()) }
    }

    pub fn kafka(reason: impl Into<String>) -> Self {
        Self::with_message(Cause::Kafka, reason)
    }

    pub fn plugin(reason: impl Into<String>) -> Self {
        Self::with_message(Cause::Plugin, reason)
    }

    pub fn failing(reason: impl Into<String>) -> Self {
        Self::with_message(Cause::Failing, reason)
    }

    pub fn configuration(reason: impl Into<String>) -> Self {
        Self::with_message(Cause::Configuration, reason)
    }

    pub fn internal(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Cause::Internal, error)
    }

    /// The error, if it has this type.
    pub fn downcast_ref<E: Error + Send + Sync + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The messages of the error and of its sources, and how to fix it. Some errors repeat the message of their source.
    pub fn reason(&self) -> String {
        let mut reason = self.error.to_string();
        for source in self.error.chain().skip(1).map(ToString::to_string) {
            if !reason.contains(&source) {
                reason = format!("{reason}: {source}");
            }
        }
        reason
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl Error for Halt {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn halt_keeps_the_chain_of_its_sources() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let halt = Halt::new(Cause::Kafka, anyhow::Error::new(refused).context("failed to connect"));
        assert_eq!((halt.to_string().as_str(), halt.cause.exit_code()), ("failed to connect", 4));
        assert_eq!(halt.reason(), "failed to connect: connection refused");
        let source = halt.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused));
        assert!(Halt::plugin("not a plugin").source().is_none());
    }
}
