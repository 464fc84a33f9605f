//! How long the record path waits for Kafka, each time it does.

use std::time::Duration;

use mapper_pipeline::activity::StepLimits;

/// A call to the coordinator of the group or of the transactions: sending offsets, ending a transaction, committing offsets.
pub(super) const COORDINATOR_LIMIT: Duration = Duration::from_secs(8);
/// Making a producer ready: once for the metadata, once for its producer id.
pub(super) const INIT_LIMIT: Duration = Duration::from_secs(10);
/// The same while the host ends.
pub(super) const INIT_LIMIT_AT_END: Duration = Duration::from_secs(2);
/// A question about offsets, or a seek.
pub(super) const OFFSETS_LIMIT: Duration = Duration::from_secs(10);
/// Destroying a client, which for a consumer includes leaving the group.
pub(super) const CLOSE_LIMIT: Duration = Duration::from_secs(3);
/// How much later than its own timeout a call may return, before it counts as one that ignores it.
pub(super) const CALL_GRACE: Duration = Duration::from_secs(2);
/// Producers whose calls don't return, for each worker, before the host ends: each keeps its memory, threads and connections.
pub(super) const MOST_ABANDONED: usize = 8;

/// How long no record is delivered before the producer is taken for stuck: messages of a deleted partition are never delivered, and
/// never fail.
pub(super) fn delivery_stall(transaction_timeout: Duration) -> Duration {
    transaction_timeout / 2
}

/// How long an output topic may be missing before the host ends: it may be about to be created anew.
pub(super) fn topic_absence(transaction_timeout: Duration) -> Duration {
    transaction_timeout * 2
}

/// How long each step of a worker takes at most: the limits of the waits in it.
pub fn step_limits(connect_timeout: Duration, mapping: Duration, transaction_timeout: Duration) -> StepLimits {
    let coordinator = COORDINATOR_LIMIT + CALL_GRACE;
    let init = 2 * INIT_LIMIT + CALL_GRACE;
    StepLimits {
        starting: connect_timeout + init,
        mapping,
        // Room in the queue of the producer, and the begin of a transaction with a new producer.
        producing: transaction_timeout + init + coordinator,
        // Delivery, then the offsets, then the end of the transaction; it may begin with a new producer.
        committing: transaction_timeout + init + 3 * coordinator,
        // The pause, the abort, a new producer, the committed offsets, and the seek.
        recovering: Duration::from_secs(5) + coordinator + init + 2 * OFFSETS_LIMIT,
        // The end of joining, the producer, the consumer.
        leaving: 3 * CLOSE_LIMIT,
    }
}
