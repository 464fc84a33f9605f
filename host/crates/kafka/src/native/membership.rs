//! The membership of a consumer in its group.

use std::ffi::{CStr, CString};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka_sys as sys;

/// What a consumer states about itself when it commits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GroupMembership {
    member_id: CString,
    generation: i32,
}

impl GroupMembership {
    /// That of this moment. `None` unless the consumer has a member id and a generation: librdkafka can lose either, and both, while the
    /// application still has its partitions.
    pub(crate) fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        // SAFETY: the client is alive. The metadata is destroyed once, after its member id is copied.
        let (member_id, generation) = unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
            if metadata.is_null() {
                return None;
            }
            let member_id = CStr::from_ptr(sys::rd_kafka_consumer_group_metadata_member_id(metadata)).to_owned();
            let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
            sys::rd_kafka_consumer_group_metadata_destroy(metadata);
            (member_id, generation)
        };
        (!member_id.is_empty() && generation >= 0).then_some(Self { member_id, generation })
    }
}
