//! A bounded queue of spans, and the thread that sends them. Workers never wait for it.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

/// The capacity of the queue. Further spans are dropped.
const MOST_WAITING: usize = 4096;
/// The maximum number of spans in one request.
const MOST_AT_ONCE: usize = 512;
/// The longest time that a span waits for others.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The counts of sent and dropped spans.
#[derive(Debug, Default)]
pub struct Sent {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Sent {
    /// Spans that were sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Spans that were dropped because the queue was full or the collector failed.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

enum Message {
    Span(Box<SpanData>),
    Resource(Resource),
}

/// The sending end of the queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// None once it is closed.
    sender: Mutex<Option<SyncSender<Message>>>,
    ended: Mutex<Receiver<()>>,
    sent: Arc<Sent>,
}

impl Queue {
    pub(super) fn start(exporter: impl SpanExporter + 'static, sent: Arc<Sent>) -> Self {
        let (sender, spans) = mpsc::sync_channel(MOST_WAITING);
        let (end, ended) = mpsc::channel();
        let counts = sent.clone();
        let sending = std::thread::Builder::new().name("spans".into()).spawn(move || {
            send(&spans, exporter, &counts);
            // It fails if the receiver is closed, which needs no message.
            let _ = end.send(());
        });
        if let Err(error) = sending {
            tracing::warn!(%error, "failed to start the thread that sends spans; all spans are dropped");
        }
        Self { sender: Mutex::new(Some(sender)), ended: Mutex::new(ended), sent }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return };
        match sender.try_send(Message::Span(Box::new(span))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.sent.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        // The thread ends after it has sent all spans of the queue.
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(timeout) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
            Err(RecvTimeoutError::Timeout) => Err(OTelSdkError::Timeout(timeout)),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            // The first message of all, so there is room.
            let _ = sender.try_send(Message::Resource(resource.clone()));
        }
    }
}

/// Sends until the queue is closed.
fn send(spans: &Receiver<Message>, mut exporter: impl SpanExporter, sent: &Sent) {
    let mut failing = false;
    while let Ok(first) = spans.recv() {
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut batch = Vec::with_capacity(MOST_AT_ONCE);
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Span(span) => batch.push(*span),
                Message::Resource(resource) => exporter.set_resource(&resource),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            next = if batch.len() < MOST_AT_ONCE { spans.recv_timeout(left).ok() } else { None };
        }
        if batch.is_empty() {
            continue;
        }
        let count = batch.len() as u64;
        let result = wait(exporter.export(batch));
        let counter = if result.is_ok() { &sent.sent } else { &sent.dropped };
        counter.fetch_add(count, Ordering::Relaxed);
        match result {
            Ok(()) if failing => tracing::info!("spans are sent again"),
            Err(error) if !failing => tracing::warn!(%error, "failed to send spans; they are dropped and counted"),
            _ => {}
        }
        failing = counter.as_ptr() == sent.dropped.as_ptr();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an exporter, which blocks this thread: an async runtime does not allow that.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
