//! Safe wrappers of librdkafka calls that the rdkafka crate does not have: a record queue apart from rebalances, header names
//! that are not UTF-8, a producer that uses topic handles, producer events, the membership of a group, and cached end offsets.

pub(super) mod events;
mod headers;
pub(super) mod membership;
mod messages;

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
pub(super) use self::messages::Fetched;
use self::messages::Messages;
use super::reporting::ReportingProducer;
use mapper_core::record::Header;

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

/// A queue of a client.
struct OwnedQueue<C: ConsumerContext + 'static> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// The queue must not outlive its client.
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl<C: ConsumerContext> Send for OwnedQueue<C> {}
// SAFETY: as above; all calls lock the queue.
unsafe impl<C: ConsumerContext> Sync for OwnedQueue<C> {}

impl<C: ConsumerContext> Drop for OwnedQueue<C> {
    fn drop(&mut self) {
        // SAFETY: made by `RecordQueue`, destroyed once, before the client that it belongs to.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// Ends a wait for records of a queue.
pub(super) struct QueueWaker<C: ConsumerContext + 'static>(Arc<OwnedQueue<C>>);

impl<C: ConsumerContext> QueueWaker<C> {
    /// Ends the present wait, or else the next one.
    pub(super) fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { sys::rd_kafka_queue_yield(self.0.queue.as_ptr()) };
    }
}

/// A queue for the records of partitions. Rebalances are in another queue, so that a fetch never triggers one.
pub(super) struct RecordQueue<C: ConsumerContext + 'static> {
    owned: Arc<OwnedQueue<C>>,
    /// The queue of all other events; [`BaseConsumer::poll`] serves it.
    events: Option<NonNull<sys::rd_kafka_queue_t>>,
    /// Reused by [`RecordQueue::take_queued`].
    messages: Vec<*mut sys::rd_kafka_message_t>,
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
        Self { owned: Arc::new(OwnedQueue { queue, consumer }), events, messages: Vec::new() }
    }

    /// The queue of the client, with the records of all assigned partitions and all events. [`BaseConsumer::poll`] must not be called
    /// beside it.
    pub(super) fn of_client(consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        // SAFETY: the consumer's client is alive. The result is null for a client without a group.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) })?;
        let owned = OwnedQueue { queue, consumer: consumer.clone() };
        Some(Self { owned: Arc::new(owned), events: None, messages: Vec::new() })
    }

    fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.owned.queue.as_ptr()
    }

    pub(super) fn waker(&self) -> QueueWaker<C> {
        QueueWaker(self.owned.clone())
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
                sys::rd_kafka_queue_get_partition(self.owned.consumer.client().native_ptr(), topic.as_ptr(), partition);
            if source.is_null() {
                return Err(KafkaError::Subscription(format!("partition {partition} has no queue")));
            }
            sys::rd_kafka_queue_forward(source, self.as_ptr());
            sys::rd_kafka_queue_destroy(source);
        }
        Ok(())
    }

    /// Passes records and events to `take` until it breaks or the queue is empty. Waits only for the first one, and not longer than until
    /// [`QueueWaker::wake`]. It makes one call per
    /// record.
    pub(super) fn fetch(&mut self, wait: Duration, mut take: impl FnMut(Fetched<'_>) -> ControlFlow<()>) {
        let mut wait_ms = i32::try_from(wait.as_millis().max(u128::from(!wait.is_zero()))).unwrap_or(i32::MAX);
        loop {
            // SAFETY: the queue is alive.
            let message = unsafe { sys::rd_kafka_consume_queue(self.as_ptr(), std::mem::take(&mut wait_ms)) };
            let Some(message) = NonNull::new(message) else { return };
            // SAFETY: the message is valid until it is destroyed here, once.
            let wanted = unsafe {
                let wanted = take(Fetched::new(message.as_ref()));
                sys::rd_kafka_message_destroy(message.as_ptr());
                wanted
            };
            if wanted.is_break() {
                return;
            }
        }
    }

    /// Takes the records and events in the queue, `most` at most, with one call.
    ///
    /// The position of their partitions is behind all of them. The caller must seek back to the first record that it does not use. The
    /// position is also behind an event at an offset, such as the end of a partition (librdkafka before 2.13.2): without a seek to that
    /// offset, the consumer would skip a record after the next rebalance.
    pub(super) fn take_queued(&mut self, most: usize) -> Messages<'_> {
        self.messages.resize(most, ptr::null_mut());
        // SAFETY: the queue is alive, and the buffer has room for so many pointers.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(self.as_ptr(), 0, self.messages.as_mut_ptr(), self.messages.len())
        };
        self.messages.truncate(usize::try_from(count).unwrap_or(0));
        Messages::new(&mut self.messages)
    }
}

impl<C: ConsumerContext> Drop for RecordQueue<C> {
    fn drop(&mut self) {
        if let Some(events) = self.events {
            // SAFETY: made in `new`, destroyed once, before the client that it belongs to.
            unsafe { sys::rd_kafka_queue_destroy(events.as_ptr()) };
        }
    }
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
