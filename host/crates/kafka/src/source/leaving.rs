//! Leaves the group and destroys the client of a source.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::super::call_thread::destroy_within;
use super::super::limits::CLOSE_LIMIT;
use super::super::member::close;
use super::KafkaSource;

/// The time slice for events of a client that joins or leaves.
const SERVE_SLICE: Duration = Duration::from_millis(10);

impl KafkaSource {
    /// Waits for the first answer of the group, for a few seconds at most. librdkafka does not leave the group if it is closed before,
    /// in the state `wait-sync`. Then the next host waits for the session timeout of this member.
    pub fn finish_joining(&self) {
        let deadline = Instant::now() + CLOSE_LIMIT;
        while !self.consumer.context().has_joined() && Instant::now() < deadline {
            if self.serve_events(SERVE_SLICE).is_err() {
                return;
            }
        }
    }

    /// Leaves the group and destroys the consumer. Waits for a few seconds at most: the group removes a missing member after its
    /// session timeout.
    pub fn close(self) {
        let consumer = self.consumer.clone();
        drop(self);
        if !destroy_within("consumer-close", consumer, CLOSE_LIMIT) {
            let limit = CLOSE_LIMIT.as_secs();
            tracing::warn!(target: "kafka", "the consumer did not leave the group within {limit} s; the group waits for its session timeout");
        }
    }

    /// Serves the group until all workers have made their last commit, for a few seconds at most. Then destroys the consumer in the
    /// background. A member that leaves earlier triggers a rebalance, in which the last commits of the others fail.
    pub fn leave_last(self, is_last_commit_made: impl Fn() -> bool) {
        close(&self.consumer);
        let deadline = Instant::now() + CLOSE_LIMIT;
        while !is_last_commit_made() && Instant::now() < deadline && self.serve_events(SERVE_SLICE).is_ok() {}
        let consumer = self.consumer.clone();
        drop(self);
        destroy_within("consumer-close", consumer, Duration::ZERO);
    }
}

impl Drop for KafkaSource {
    /// Applies pending rebalances. A pending one blocks the consumer from leaving the group, and so blocks its destruction.
    fn drop(&mut self) {
        close(&self.consumer);
    }
}
