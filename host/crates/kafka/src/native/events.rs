//! The events of a producer, with the delivery reports of each produce request. The rdkafka crate reports single records,
//! without the detail that identifies the rejected record of a request.

use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka_sys as sys;

/// An event of a producer.
pub(crate) enum Event<'e> {
    /// The failed deliveries of one produce request.
    Undelivered(&'e [DeliveryReport]),
    /// An error of the client.
    Error(RDKafkaErrorCode, &'e str),
    /// A log line: level, facility and text.
    Log(RDKafkaLogLevel, &'e str, &'e str),
}

/// The failed delivery of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliveryReport {
    /// The number that the record was produced with.
    pub(crate) number: usize,
    pub(crate) code: RDKafkaErrorCode,
    /// The address of the broker's error text for this record, or 0. It must only be compared: librdkafka 2.12 frees the text before
    /// it returns the report.
    pub(crate) message_address: usize,
}

/// The event queue of a producer.
pub(crate) struct EventQueue<C: ProducerContext + 'static> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// The queue must not outlive its client.
    _producer: Arc<BaseProducer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl<C: ProducerContext> Send for EventQueue<C> {}
// SAFETY: as above.
unsafe impl<C: ProducerContext> Sync for EventQueue<C> {}

impl<C: ProducerContext> EventQueue<C> {
    pub(crate) fn new(producer: Arc<BaseProducer<C>>) -> Self {
        // SAFETY: the producer's client is alive.
        let queue = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        let queue = NonNull::new(queue).expect("a producer has a main queue");
        Self { queue, _producer: producer }
    }

    /// Waits for an event and handles it. A flush of the producer returns only after that.
    pub(crate) fn poll(&self, wait: Duration, handle: impl FnOnce(Event<'_>)) {
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive.
        let Some(event) = NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), wait_ms) }) else {
            return;
        };
        let event = OwnedEvent(event);
        // SAFETY: the event is alive, and each call matches its type. Texts live as long as the event.
        unsafe {
            match sys::rd_kafka_event_type(event.0.as_ptr()) {
                sys::RD_KAFKA_EVENT_DR => handle(Event::Undelivered(&event.delivery_reports())),
                sys::RD_KAFKA_EVENT_ERROR => {
                    let code = sys::rd_kafka_event_error(event.0.as_ptr()).into();
                    handle(Event::Error(code, &text(sys::rd_kafka_event_error_string(event.0.as_ptr()))));
                }
                sys::RD_KAFKA_EVENT_LOG => {
                    let (mut facility, mut line, mut level) = (ptr::null(), ptr::null(), 0);
                    sys::rd_kafka_event_log(event.0.as_ptr(), &mut facility, &mut line, &mut level);
                    handle(Event::Log(log_level(level), text(facility).trim(), text(line).trim()));
                }
                // Statistics, if the user enabled them.
                _ => {}
            }
        }
    }

    /// Makes a blocked poll return.
    pub(crate) fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { sys::rd_kafka_queue_yield(self.queue.as_ptr()) }
    }
}

impl<C: ProducerContext> Drop for EventQueue<C> {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once, before the client that it belongs to.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

struct OwnedEvent(NonNull<sys::rd_kafka_event_t>);

impl OwnedEvent {
    /// # Safety
    /// The event is one of delivery reports.
    unsafe fn delivery_reports(&self) -> Vec<DeliveryReport> {
        let mut reports = Vec::new();
        // SAFETY: the messages live as long as the event. The address of the text is not dereferenced.
        unsafe {
            while let Some(message) = sys::rd_kafka_event_message_next(self.0.as_ptr()).as_ref() {
                if message.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    continue;
                }
                reports.push(DeliveryReport {
                    number: message._private as usize,
                    code: message.err.into(),
                    message_address: sys::rd_kafka_message_produce_errstr(message) as usize,
                });
            }
        }
        reports
    }
}

impl Drop for OwnedEvent {
    fn drop(&mut self) {
        // SAFETY: the value owns the event and destroys it once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `start` is null or a C string that lives for `'a`.
unsafe fn text<'a>(start: *const c_char) -> std::borrow::Cow<'a, str> {
    // SAFETY: as the caller promises.
    if start.is_null() { "".into() } else { unsafe { CStr::from_ptr(start) }.to_string_lossy() }
}

fn log_level(level: i32) -> RDKafkaLogLevel {
    use RDKafkaLogLevel as Level;
    match level {
        0 => Level::Emerg,
        1 => Level::Alert,
        2 => Level::Critical,
        3 => Level::Error,
        4 => Level::Warning,
        5 => Level::Notice,
        6 => Level::Info,
        _ => Level::Debug,
    }
}
