//! Runs the blocking calls of a Kafka client on a thread of their own. Some calls of librdkafka ignore their timeout
//! (librdkafka#5456, librdkafka#5511). A worker waits with a timeout of its own, and abandons the client after it.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// The number of abandoned clients of the process. Each keeps its memory, threads and connections until its call returns.
static ABANDONED: AtomicUsize = AtomicUsize::new(0);

type Call<C> = Box<dyn FnOnce(&C) + Send>;

/// A client, and the thread that runs its blocking calls and destroys it.
pub(super) struct CallThread<C> {
    // Dropped before the sender, so that the thread drops the last reference.
    client: Arc<C>,
    calls: mpsc::Sender<Call<C>>,
    /// The channel disconnects when the client is destroyed.
    ended: mpsc::Receiver<Infallible>,
    abandoned: Arc<AtomicBool>,
}

impl<C: Send + Sync + 'static> CallThread<C> {
    pub(super) fn start(name: &str, client: C) -> io::Result<Self> {
        let client = Arc::new(client);
        let abandoned = Arc::new(AtomicBool::new(false));
        let (calls, inbox) = mpsc::channel::<Call<C>>();
        let (ending, ended) = mpsc::channel::<Infallible>();
        let (owned, was_abandoned) = (client.clone(), abandoned.clone());
        let span = tracing::Span::current();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _span = span.entered();
            for call in inbox {
                call(&owned);
            }
            drop(owned);
            if was_abandoned.load(Ordering::Acquire) {
                ABANDONED.fetch_sub(1, Ordering::AcqRel);
                tracing::info!(target: "kafka", "an abandoned Kafka client has ended");
            }
            drop(ending);
        })?;
        Ok(Self { client, calls, ended, abandoned })
    }

    /// The client, for calls that do not block.
    pub(super) fn client(&self) -> &C {
        &self.client
    }

    /// Runs the call; returns `None` after the limit. Then the thread is still busy: the caller must [`Self::abandon`] the client.
    pub(super) fn call<R: Send + 'static>(
        &self,
        limit: Duration,
        call: impl FnOnce(&C) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = mpsc::sync_channel(1);
        // The receiver is gone if the call exceeded its limit.
        let call = Box::new(move |client: &C| drop(reply.send(call(client))));
        self.calls.send(call).ok()?;
        answer.recv_timeout(limit).ok()
    }

    /// Destroys the client on its thread, and waits at most for the limit. Returns whether the client is destroyed.
    pub(super) fn close(self, limit: Duration) -> bool {
        let Self { client, calls, ended, .. } = self;
        drop(client);
        drop(calls);
        ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }

    /// Leaves the client to its thread, which destroys it when the call returns. Returns the number of abandoned clients.
    pub(super) fn abandon(self) -> usize {
        self.abandoned.store(true, Ordering::Release);
        ABANDONED.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// Drops a client on a new thread, and waits at most for the limit. Returns whether the client is destroyed.
pub(super) fn destroy_within<C: Send + Sync + 'static>(name: &str, client: Arc<C>, limit: Duration) -> bool {
    let (ending, ended) = mpsc::channel::<Infallible>();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        drop(client);
        drop(ending);
    });
    thread.is_err() || ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Sends the name of the thread that drops it.
    struct Client(mpsc::Sender<String>);

    impl Drop for Client {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().name().unwrap_or_default().to_owned());
        }
    }

    fn start() -> (CallThread<Client>, mpsc::Receiver<String>) {
        let (sender, dropped) = mpsc::channel();
        (CallThread::start("calls-of-test", Client(sender)).unwrap(), dropped)
    }

    #[test]
    fn call_returns_its_result_and_the_thread_destroys_the_client() {
        let (calls, dropped) = start();
        assert_eq!(calls.call(LONG, |_| 7), Some(7));
        assert_eq!(calls.call(LONG, |_| "next"), Some("next"));
        assert!(calls.close(LONG));
        assert_eq!(dropped.recv_timeout(LONG).as_deref(), Ok("calls-of-test"));
    }

    #[test]
    fn abandoned_client_is_destroyed_after_its_call_returns() {
        let (calls, dropped) = start();
        let (go_on, blocked) = mpsc::channel::<()>();
        // Waiting for it would have no end: it returns only after the signal below.
        assert_eq!(calls.call(Duration::from_millis(20), move |_| blocked.recv().is_ok()), None);
        assert!(calls.abandon() >= 1);
        assert!(dropped.try_recv().is_err(), "the client must not be destroyed during its call");
        go_on.send(()).unwrap();
        assert_eq!(dropped.recv_timeout(LONG).as_deref(), Ok("calls-of-test"));
    }

    #[test]
    fn slow_destruction_does_not_block_the_caller() {
        struct Slow(mpsc::Receiver<()>);
        impl Drop for Slow {
            fn drop(&mut self) {
                let _ = self.0.recv();
            }
        }
        // A receiver is not Sync; the mutex is.
        let (go_on, blocked) = mpsc::channel();
        let client = Arc::new(std::sync::Mutex::new(Slow(blocked)));
        assert!(!destroy_within("slow", client, Duration::from_millis(20)));
        go_on.send(()).unwrap();
        assert!(destroy_within("quick", Arc::new(()), LONG));
    }
}
