//! Safe wrappers of librdkafka calls that the rdkafka crate does not have: a record queue apart from rebalances, header names
//! that are not UTF-8, a producer that uses topic handles, producer events, the membership of a group, and cached end offsets.

pub(super) mod events;
mod headers;
pub(super) mod membership;

use std::ffi::{CStr, CString, c_void};
use std::ops::ControlFlow;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_vtype_t as vtype;

use self::headers::NativeHeaders;
use super::reporting::ReportingProducer;
use mapper_core::record::{Header, NO_TIMESTAMP};

/// The end offset (high watermark) of a partition from the last fetch. It sends no request.
pub(super) fn cached_end_offset<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &CStr,
    partition: i32,
) -> Option<i64> {
    let (mut low, mut high) = (0, 0);
    // SAFETY: the client and the name are alive, and the offsets are local variables.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    // A negative offset is unknown (`RD_KAFKA_OFFSET_INVALID`).
    (error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// Commits offsets and waits at most for the limit. The synchronous commit of rdkafka has no limit.
pub(super) fn commit_within<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    limit: Duration,
) -> KafkaResult<()> {
    let client = consumer.client().native_ptr();
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client and the offsets are alive. The queue and the event are destroyed once. librdkafka drops an answer that
    // arrives after the queue is destroyed.
    let code = unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let mut code = sys::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            let event = sys::rd_kafka_queue_poll(queue, limit_ms);
            code = match event.is_null() {
                true => sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT,
                false => sys::rd_kafka_event_error(event),
            };
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_queue_destroy(queue);
        code
    };
    match code {
        sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::ConsumerCommit(code.into())),
    }
}

/// A queue for the records of partitions. Rebalances are in another queue, so that a fetch never triggers one.
pub(super) struct RecordQueue<C: ConsumerContext + 'static> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// The queue of all other events; [`BaseConsumer::poll`] serves it.
    events: Option<NonNull<sys::rd_kafka_queue_t>>,
    /// The queue must not outlive its client.
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl<C: ConsumerContext> Send for RecordQueue<C> {}

impl<C: ConsumerContext> RecordQueue<C> {
    pub(super) fn new(consumer: Arc<BaseConsumer<C>>) -> Self {
        // SAFETY: the consumer's client is alive.
        let queue = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        let queue = NonNull::new(queue).expect("librdkafka makes a queue or aborts");
        // SAFETY: as above. The result is null for a client without a group.
        let events = NonNull::new(unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) });
        Self { queue, events, consumer }
    }

    /// Whether the event queue is not empty. A poll can return nothing although more events are queued.
    pub(super) fn has_events(&self) -> bool {
        // SAFETY: the queue is alive.
        self.events.is_some_and(|events| unsafe { sys::rd_kafka_queue_length(events.as_ptr()) > 0 })
    }

    /// Forwards the records of a partition to this queue, also after later assignments.
    pub(super) fn route(&self, topic: &str, partition: i32) -> KafkaResult<()> {
        let topic = CString::new(topic)?;
        // SAFETY: the client, the name and both queues are alive during these calls.
        unsafe {
            let source =
                sys::rd_kafka_queue_get_partition(self.consumer.client().native_ptr(), topic.as_ptr(), partition);
            if source.is_null() {
                return Err(KafkaError::Subscription(format!("partition {partition} has no queue")));
            }
            sys::rd_kafka_queue_forward(source, self.queue.as_ptr());
            sys::rd_kafka_queue_destroy(source);
        }
        Ok(())
    }

    /// Passes records and events to `take` until it breaks or the queue is empty. Waits only for the first one.
    ///
    /// It makes one call per record. `rd_kafka_consume_batch_queue` treats an event, such as the end of a partition, as a record at
    /// that offset; after the next rebalance, the consumer would skip a record.
    pub(super) fn fetch(&mut self, wait: Duration, mut take: impl FnMut(Fetched<'_>) -> ControlFlow<()>) {
        let mut wait_ms = i32::try_from(wait.as_millis().max(u128::from(!wait.is_zero()))).unwrap_or(i32::MAX);
        loop {
            // SAFETY: the queue is alive.
            let message = unsafe { sys::rd_kafka_consume_queue(self.queue.as_ptr(), std::mem::take(&mut wait_ms)) };
            let Some(message) = NonNull::new(message) else { return };
            // SAFETY: the message is valid until it is destroyed here, once.
            let wanted = unsafe {
                let wanted = take(Fetched(message.as_ref()));
                sys::rd_kafka_message_destroy(message.as_ptr());
                wanted
            };
            if wanted.is_break() {
                return;
            }
        }
    }
}

impl<C: ConsumerContext> Drop for RecordQueue<C> {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once, before the client that it belongs to.
        unsafe {
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
            if let Some(events) = self.events {
                sys::rd_kafka_queue_destroy(events.as_ptr());
            }
        }
    }
}

/// A record, or an event in its place.
#[derive(Clone, Copy)]
pub(super) struct Fetched<'a>(&'a sys::rd_kafka_message_t);

impl<'a> Fetched<'a> {
    /// The error code of an event; `None` for a record.
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        (self.0.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| self.0.err.into())
    }

    /// The error text of an event.
    pub(super) fn error_text(&self) -> String {
        // SAFETY: the message is valid and owns the text, which is null or a C string.
        unsafe {
            let text = sys::rd_kafka_message_errstr(self.0);
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        }
    }

    pub(super) fn partition(&self) -> i32 {
        self.0.partition
    }

    /// The handle of the topic. It is the same for all records of a topic that one fetch returns.
    pub(super) fn topic_handle(&self) -> *const c_void {
        self.0.rkt.cast_const().cast()
    }

    pub(super) fn topic(&self) -> &'a str {
        if self.0.rkt.is_null() {
            return "";
        }
        // SAFETY: the message is valid and keeps its topic alive, which owns the name.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.0.rkt)).to_str().unwrap_or_default() }
    }

    pub(super) fn offset(&self) -> i64 {
        self.0.offset
    }

    pub(super) fn timestamp_ms(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.0, &mut kind) };
        if kind == sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { NO_TIMESTAMP } else { timestamp }
    }

    pub(super) fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: the message owns these bytes while it is borrowed.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(super) fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: as for the key.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is valid and owns the headers.
        let error = unsafe { sys::rd_kafka_message_headers(self.0, &mut headers) };
        let has_headers = error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        let mut index = 0;
        std::iter::from_fn(move || {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: only called if there are headers. An index beyond the last one returns an error.
            let error = unsafe {
                has_headers
                    .then(|| sys::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size))
                    .filter(|error| *error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR)
            };
            error?;
            index += 1;
            // SAFETY: a name is a C string, and a value has that many bytes; both live as long as the message.
            unsafe { Some((CStr::from_ptr(name).to_bytes(), bytes(value, size))) }
        })
    }
}

/// # Safety
/// `start` is null or points at that many bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), size) })
}

/// Waits until each record of a producer is delivered or has failed. Another thread reads its events.
pub(super) fn flush<C: ProducerContext>(producer: &BaseProducer<C>, wait: Duration) -> Result<(), RDKafkaErrorCode> {
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive.
    let error = unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), wait_ms) };
    if error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(error.into()) }
}

/// A topic of a producer.
pub(super) struct TopicHandle {
    topic: NonNull<sys::rd_kafka_topic_t>,
    /// The handle must not outlive its client.
    producer: Arc<ReportingProducer>,
}

// SAFETY: librdkafka's topic handles may be used from any thread.
unsafe impl Send for TopicHandle {}
// SAFETY: as above; a handle is only read.
unsafe impl Sync for TopicHandle {}

impl TopicHandle {
    pub(super) fn new(producer: Arc<ReportingProducer>, topic: &str) -> KafkaResult<Self> {
        let name = CString::new(topic)?;
        // SAFETY: the client and the name are alive; no configuration means the client's own.
        let handle = unsafe { sys::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut()) };
        let handle = NonNull::new(handle).ok_or_else(|| KafkaError::ClientCreation(format!("no topic '{topic}'")))?;
        Ok(Self { topic: handle, producer })
    }

    /// Queues a copy of a record. Its delivery report has this number. While the queue is full, retries as long as `wait` returns
    /// true.
    pub(super) fn produce<'h>(
        &self,
        number: usize,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp_ms: Option<i64>,
        headers: &mut dyn Iterator<Item = Header<'h>>,
        mut wait: impl FnMut() -> bool,
    ) -> Result<(), RDKafkaErrorCode> {
        let headers = NativeHeaders::of(headers)?;
        let mut fields = [sys::rd_kafka_vu_t { vtype: vtype::RD_KAFKA_VTYPE_END, u: unset() }; 7];
        let mut set = 0;
        let mut add = |vtype, u| {
            fields[set] = sys::rd_kafka_vu_t { vtype, u };
            set += 1;
        };
        add(vtype::RD_KAFKA_VTYPE_RKT, Union { rkt: self.topic.as_ptr() });
        add(vtype::RD_KAFKA_VTYPE_MSGFLAGS, Union { i: sys::RD_KAFKA_MSG_F_COPY });
        add(vtype::RD_KAFKA_VTYPE_OPAQUE, Union { ptr: number as *mut c_void });
        add(vtype::RD_KAFKA_VTYPE_VALUE, Union { mem: memory(value) });
        add(vtype::RD_KAFKA_VTYPE_KEY, Union { mem: memory(key) });
        // librdkafka treats 0 as the current time, so a record cannot have the timestamp 1970-01-01T00:00:00Z.
        add(vtype::RD_KAFKA_VTYPE_TIMESTAMP, Union { i64_: timestamp_ms.unwrap_or(0) });
        if let Some(headers) = &headers {
            add(vtype::RD_KAFKA_VTYPE_HEADERS, Union { headers: headers.0.as_ptr() });
        }
        loop {
            // SAFETY: `set` fields are filled according to their types. Key and value are copied before the call returns.
            let error = unsafe { sys::rd_kafka_produceva(self.producer.client().native_ptr(), fields.as_ptr(), set) };
            if error.is_null() {
                // The headers belong to the queued record now.
                std::mem::forget(headers);
                return Ok(());
            }
            // SAFETY: the caller owns the error and destroys it once.
            let code = unsafe {
                let code = sys::rd_kafka_error_code(error);
                sys::rd_kafka_error_destroy(error);
                RDKafkaErrorCode::from(code)
            };
            if code != RDKafkaErrorCode::QueueFull || !wait() {
                return Err(code);
            }
        }
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once, before the client that it belongs to.
        unsafe { sys::rd_kafka_topic_destroy(self.topic.as_ptr()) }
    }
}

use sys::bindings::rd_kafka_vu_s__bindgen_ty_1 as Union;

fn unset() -> Union {
    Union { i: 0 }
}

fn memory(bytes: Option<&[u8]>) -> sys::bindings::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    let (ptr, size) = bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()));
    sys::bindings::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: ptr.cast::<c_void>().cast_mut(), size }
}
