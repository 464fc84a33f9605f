//! A producer with a thread that reads its events.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::util::Timeout;

use super::deliveries::Deliveries;
use super::native;
use super::native::events::{Event, EventQueue};

/// The longest wait for an event.
const POLL: Duration = Duration::from_secs(1);
/// The longest flush call of librdkafka.
const FLUSH: Duration = Duration::from_millis(100);

/// A producer with a thread that updates its [`Deliveries`].
pub(super) struct ReportingProducer {
    producer: Arc<BaseProducer<Deliveries>>,
    events: Arc<EventQueue<Deliveries>>,
    is_ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ReportingProducer {
    pub(super) fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let producer: BaseProducer<Deliveries> = BaseProducer::from_config_and_context(config, Deliveries::default())?;
        let producer = Arc::new(producer);
        let events = Arc::new(EventQueue::new(producer.clone()));
        let is_ending = Arc::new(AtomicBool::new(false));
        let read = {
            let (context, events, is_ending) = (producer.context().clone(), events.clone(), is_ending.clone());
            move || {
                while !is_ending.load(Ordering::Acquire) {
                    events.poll(POLL, |event| match event {
                        Event::Undelivered(reports) => context.record(reports),
                        Event::Error(code, reason) => context.error(KafkaError::Global(code), reason.trim()),
                        Event::Log(level, facility, line) => context.log(level, facility, line),
                    });
                }
            }
        };
        let thread = std::thread::Builder::new().name("producer-events".to_owned()).spawn(read);
        let thread =
            thread.map_err(|error| KafkaError::ClientCreation(format!("failed to start the event thread: {error}")))?;
        Ok(Self { producer, events, is_ending, thread: Some(thread) })
    }

    /// Waits until each record is delivered or has failed. It replaces the flush of rdkafka, which would read the events itself.
    pub(super) fn flush(&self, timeout: impl Into<Timeout>) -> KafkaResult<()> {
        let deadline = match timeout.into() {
            Timeout::Never => None,
            Timeout::After(time) => Instant::now().checked_add(time),
        };
        loop {
            let left = deadline.map_or(FLUSH, |deadline| deadline.saturating_duration_since(Instant::now()).min(FLUSH));
            match native::flush(&self.producer, left) {
                Ok(()) => return Ok(()),
                Err(RDKafkaErrorCode::OperationTimedOut) if !left.is_zero() => {}
                Err(code) => return Err(KafkaError::Flush(code)),
            }
        }
    }

    /// Flushes the records and commits the transaction.
    pub(super) fn commit_transaction(&self, timeout: impl Into<Timeout>) -> KafkaResult<()> {
        let timeout = timeout.into();
        self.flush(timeout)?;
        self.producer.commit_transaction(timeout)
    }
}

impl Deref for ReportingProducer {
    type Target = BaseProducer<Deliveries>;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl Drop for ReportingProducer {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Release);
        self.events.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "kafka", "the event thread of a producer panicked");
        }
    }
}
