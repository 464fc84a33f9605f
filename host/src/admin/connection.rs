//! A connection to the admin server: its phase, and the deadline of the phase.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::admission::{Admission, Id, Scope};

/// The time limits of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    /// From the first byte of a request to the end of its head, and from the connection to that first byte.
    pub(super) head: Duration,
    /// From one request to the next.
    pub(super) keep_alive: Duration,
    /// From the first byte of an answer to the last one; in a stream of events, between two writes.
    pub(super) answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            // Longer than Prometheus usually waits between two scrapes.
            keep_alive: Duration::from_secs(75),
            answer: Duration::from_secs(30),
        }
    }
}

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The connection is open, and the server has received nothing yet.
    New,
    /// A request has begun.
    Head,
    /// The server handles the request. The handler limits the time for this and for the body.
    Handling,
    /// The answer is being sent.
    Answering,
    /// The answer is a stream of events, which has no end in time.
    Streaming,
    /// The answer is sent, and another request may come.
    Idle,
}

impl Phase {
    fn limit(self, deadlines: &Deadlines) -> Option<Duration> {
        match self {
            Self::New | Self::Head => Some(deadlines.head),
            Self::Handling => None,
            // A client that reads gets some bytes more often than this.
            Self::Answering | Self::Streaming => Some(deadlines.answer),
            Self::Idle => Some(deadlines.keep_alive),
        }
    }

    fn is_waiting(self) -> bool {
        matches!(self, Self::New | Self::Head | Self::Idle)
    }
}

/// The connections of a server, by their number.
#[derive(Default)]
struct All {
    admission: Admission,
    clients: BTreeMap<Id, Arc<Notify>>,
}

/// The connections of a server. Clones share them.
#[derive(Clone)]
pub(super) struct Connections {
    all: Arc<Mutex<All>>,
    deadlines: Deadlines,
}

impl Connections {
    pub(super) fn new(deadlines: Deadlines) -> Self {
        Self { all: Arc::default(), deadlines }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a new connection and evicts another one if necessary.
    pub(super) fn admit(&self, address: IpAddr) -> Arc<Client> {
        let (now, end) = (Instant::now(), Arc::new(Notify::new()));
        let mut all = self.lock();
        let admitted = all.admission.admit(address, now.into_std());
        if let Some(evicted) = admitted.evicted.and_then(|id| all.clients.remove(&id)) {
            evicted.notify_one();
        }
        all.clients.insert(admitted.id, end.clone());
        Arc::new(Client {
            id: admitted.id,
            scope: admitted.scope,
            phase: Mutex::new((Phase::New, now)),
            changed: Notify::new(),
            end,
            all: self.clone(),
        })
    }
}

/// One connection. Dropping it frees its slot.
pub(super) struct Client {
    id: Id,
    /// The routes that it may request.
    pub(super) scope: Scope,
    phase: Mutex<(Phase, Instant)>,
    changed: Notify,
    end: Arc<Notify>,
    all: Connections,
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        all.admission.remove(self.id);
        all.clients.remove(&self.id);
    }
}

impl Client {
    fn phase(&self) -> MutexGuard<'_, (Phase, Instant)> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the phase if it is one of these.
    fn go_on(&self, from: &[Phase], to: Phase) {
        let now = Instant::now();
        let mut phase = self.phase();
        if !from.contains(&phase.0) {
            return;
        }
        *phase = (to, now);
        drop(phase);
        self.all.lock().admission.set_waiting(self.id, to.is_waiting().then(|| now.into_std()));
        self.changed.notify_one();
    }

    /// The head of a request is complete.
    pub(super) fn begin_request(&self) {
        let before = [Phase::New, Phase::Head, Phase::Idle, Phase::Answering, Phase::Streaming];
        self.go_on(&before, Phase::Handling);
    }

    /// The server starts to send the answer.
    pub(super) fn begin_answer(&self) {
        self.go_on(&[Phase::Handling], Phase::Answering);
    }

    /// The server starts to send a stream of events.
    pub(super) fn begin_stream(&self) {
        self.go_on(&[Phase::Handling], Phase::Streaming);
    }

    /// Waits until the connection exceeds its deadline or is evicted.
    pub(super) async fn ended(&self) {
        loop {
            let (phase, since) = *self.phase();
            let deadline = phase.limit(&self.all.deadlines).map(|limit| since + limit);
            let too_late = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = too_late => return,
                () = self.end.notified() => return,
                () = self.changed.notified() => {}
            }
        }
    }
}

/// A stream that reports to its [`Client`] when bytes are received and when an answer is sent.
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) client: Arc<Client>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            // Further bytes do not extend the deadline.
            self.client.go_on(&[Phase::New, Phase::Idle], Phase::Head);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            // The next bytes have the whole time again.
            self.client.go_on(&[Phase::Streaming], Phase::Streaming);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            // It is called after all bytes were written.
            self.client.go_on(&[Phase::Answering], Phase::Idle);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
