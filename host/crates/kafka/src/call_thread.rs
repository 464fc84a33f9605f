//! Blocking calls of a Kafka client, on a thread of their own. librdkafka has calls that ignore their timeout
//! (librdkafka#5456, librdkafka#5511), so a worker waits for the answer with a limit, and abandons the client when the limit passes.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Clients with a call that has not returned, in the whole process. Each keeps its memory, threads and connections.
static ABANDONED: AtomicUsize = AtomicUsize::new(0);

type Call<C> = Box<dyn FnOnce(&C) + Send>;

/// A client, and the thread on which its blocking calls run and on which it is destroyed.
pub(super) struct CallThread<C> {
    // Before the sender: the thread must be the last one that has the client.
    client: Arc<C>,
    calls: mpsc::Sender<Call<C>>,
    /// Disconnected when the client is destroyed.
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
        thread::Builder::new().name(name.to_owned()).spawn(move || {
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

    /// The client, for calls that don't block.
    pub(super) fn client(&self) -> &C {
        &self.client
    }

    /// Runs the call; `None` when it has not returned within the limit. Then the thread is busy, and [`Self::abandon`] is all that
    /// is left to do.
    pub(super) fn call<R: Send + 'static>(
        &self,
        limit: Duration,
        call: impl FnOnce(&C) -> R + Send + 'static,
    ) -> Option<R> {
        let (reply, answer) = mpsc::sync_channel(1);
        // Whoever waited may be gone.
        let call = Box::new(move |client: &C| drop(reply.send(call(client))));
        self.calls.send(call).ok()?;
        answer.recv_timeout(limit).ok()
    }

    /// Destroys the client on its thread; waits for it no longer than the limit. Returns whether it is destroyed.
    pub(super) fn close(self, limit: Duration) -> bool {
        let Self { client, calls, ended, .. } = self;
        drop(client);
        drop(calls);
        ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }

    /// Leaves the client to its thread, which destroys it when the call returns. Tells how many there are by now.
    pub(super) fn abandon(self) -> usize {
        self.abandoned.store(true, Ordering::Release);
        ABANDONED.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// Destroys what the last reference is given of on a thread of its own; waits no longer than the limit. Tells whether it is destroyed.
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
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Reports where it was dropped.
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
    fn call_that_returns_is_answered_and_the_client_is_destroyed_on_its_thread() {
        let (calls, dropped) = start();
        assert_eq!(calls.call(LONG, |_| 7), Some(7));
        assert_eq!(calls.call(LONG, |_| "next"), Some("next"));
        assert!(calls.close(LONG));
        assert_eq!(dropped.recv_timeout(LONG).as_deref(), Ok("calls-of-test"));
    }

    #[test]
    fn call_that_does_not_return_is_abandoned_and_its_client_destroyed_when_it_returns() {
        let (calls, dropped) = start();
        let (go_on, blocked) = mpsc::channel::<()>();
        let asked = Instant::now();
        assert_eq!(calls.call(Duration::from_millis(20), move |_| blocked.recv().is_ok()), None);
        assert!(asked.elapsed() < LONG);
        assert!(calls.abandon() >= 1);
        assert!(dropped.try_recv().is_err(), "a client is never destroyed while it is in a call");
        go_on.send(()).unwrap();
        assert_eq!(dropped.recv_timeout(LONG).as_deref(), Ok("calls-of-test"));
    }

    #[test]
    fn client_that_is_slow_to_destroy_is_not_waited_for() {
        struct Slow(mpsc::Receiver<()>);
        impl Drop for Slow {
            fn drop(&mut self) {
                let _ = self.0.recv();
            }
        }
        // A receiver can't be shared; the lock makes it so.
        let (go_on, blocked) = mpsc::channel();
        let client = Arc::new(std::sync::Mutex::new(Slow(blocked)));
        assert!(!destroy_within("slow", client, Duration::from_millis(20)));
        go_on.send(()).unwrap();
        assert!(destroy_within("quick", Arc::new(()), LONG));
    }
}
