//! Reads the ids of topics. The rdkafka crate has no call for it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka_sys as sys;

use mapper_core::topics::{TopicId, TopicIdentity};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicDescription {
    pub(super) identity: TopicIdentity,
    pub(super) partitions: i32,
}

/// Describes the topics; a topic that does not exist is missing in the result.
///
/// # Errors
/// If the cluster does not answer in time, or refuses the request.
pub(super) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> KafkaResult<BTreeMap<String, TopicDescription>> {
    let cluster = client.fetch_cluster_id(timeout);
    let event = request(client, topics, timeout)?;
    let mut described = BTreeMap::new();
    // SAFETY: the event is alive until the end of this function, and owns all that is read here.
    unsafe {
        let code = sys::rd_kafka_event_error(event.0.as_ptr());
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(KafkaError::MetadataFetch(code.into()));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event.0.as_ptr());
        if result.is_null() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::BadMessage));
        }
        let mut count = 0;
        let all = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for index in 0..count {
            let topic = *all.add(index);
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            match RDKafkaErrorCode::from(sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic))) {
                RDKafkaErrorCode::NoError => {}
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => continue,
                code => return Err(KafkaError::MetadataFetch(code)),
            }
            let mut partitions = 0;
            sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
            let id = topic_id(sys::rd_kafka_TopicDescription_topic_id(topic));
            let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
            let identity = TopicIdentity { cluster: cluster.clone(), id };
            described.insert(name, TopicDescription { identity, partitions });
        }
    }
    Ok(described)
}

/// The id as text; `None` for zero, which is the answer of a broker without topic ids.
///
/// # Safety
/// `id` is null or points at a valid id.
unsafe fn topic_id(id: *const sys::rd_kafka_Uuid_t) -> Option<TopicId> {
    if id.is_null() {
        return None;
    }
    // SAFETY: as the caller promises; the text belongs to the id.
    unsafe {
        let zero =
            sys::rd_kafka_Uuid_most_significant_bits(id) == 0 && sys::rd_kafka_Uuid_least_significant_bits(id) == 0;
        let text = CStr::from_ptr(sys::rd_kafka_Uuid_base64str(id)).to_string_lossy();
        (!zero).then(|| TopicId(text.as_ref().into()))
    }
}

/// Owns an event of librdkafka.
struct Event(NonNull<sys::rd_kafka_event_t>);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the value owns the event and destroys it once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

fn request<C: ClientContext>(client: &Client<C>, topics: &[&str], timeout: Duration) -> KafkaResult<Event> {
    let names = topics.iter().map(|topic| CString::new(*topic)).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1);
    let native = client.native_ptr();
    // SAFETY: the client and the names are alive during these calls; all that is made here is destroyed here, but for the event.
    unsafe {
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let options =
            sys::rd_kafka_AdminOptions_new(native, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        let queue = sys::rd_kafka_queue_new(native);
        sys::rd_kafka_DescribeTopics(native, collection, options, queue);
        // librdkafka itself answers with an error shortly after the timeout.
        let event = sys::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1000));
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(collection);
        NonNull::new(event).map(Event).ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
    }
}
