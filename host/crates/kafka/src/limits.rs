//! The timeouts of the record path for Kafka.

use std::time::Duration;

use mapper_pipeline::PREPARE_LIMIT;
use mapper_pipeline::activity::StepLimits;

/// A request to a coordinator: send offsets, end a transaction, commit offsets.
pub(super) const COORDINATOR_LIMIT: Duration = Duration::from_secs(8);
/// The initialization of a producer: this limit applies to the metadata and to the producer id.
pub(super) const INIT_LIMIT: Duration = Duration::from_secs(10);
/// The same during a shutdown.
pub(super) const INIT_LIMIT_AT_END: Duration = Duration::from_secs(2);
/// A request for offsets, or a seek.
pub(super) const OFFSETS_LIMIT: Duration = Duration::from_secs(10);
/// The destruction of a client. A consumer also leaves its group.
pub(super) const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// A call that returns later than this after its timeout counts as stuck.
pub(super) const CALL_GRACE: Duration = Duration::from_secs(2);
/// The host ends if a worker has more abandoned producers: each keeps its memory, threads and connections.
pub(super) const MAX_ABANDONED: usize = 8;

/// A producer without a delivery for this time counts as stuck. Records for a deleted partition are never delivered and never fail.
pub(super) fn delivery_stall(transaction_timeout: Duration) -> Duration {
    transaction_timeout / 2
}

/// The host ends if an output topic is missing for longer. A shorter time allows to recreate the topic.
pub(super) fn topic_absence(transaction_timeout: Duration) -> Duration {
    transaction_timeout * 2
}

/// The longest duration of each step of a worker, from the timeouts in it.
pub fn step_limits(connect_timeout: Duration, mapping: Duration, transaction_timeout: Duration) -> StepLimits {
    let coordinator = COORDINATOR_LIMIT + CALL_GRACE;
    let init = 2 * INIT_LIMIT + CALL_GRACE;
    StepLimits {
        starting: connect_timeout + init,
        preparing: PREPARE_LIMIT,
        mapping,
        // The wait for room in the producer queue, and the begin of a transaction with a new producer.
        producing: transaction_timeout + init + coordinator,
        // Delivery, offsets, end of the transaction; and a new producer.
        committing: transaction_timeout + init + 3 * coordinator,
        // The back-off, the abort, a new producer, the committed offsets, and the seek.
        recovering: Duration::from_secs(5) + coordinator + init + 2 * OFFSETS_LIMIT,
        // The end of the join, the producer, the consumer.
        leaving: 3 * CLOSE_LIMIT,
    }
}
