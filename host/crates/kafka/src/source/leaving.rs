//! How a source leaves the group, and what becomes of its client then.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::super::call_thread::destroy_within;
use super::super::limits::CLOSE_LIMIT;
use super::super::member::close;
use super::KafkaSource;

/// How long a client that joins or leaves is served at a time.
const SERVE_SLICE: Duration = Duration::from_millis(10);

impl KafkaSource {
    /// Waits until the group has answered for the first time, no longer than a few seconds. A client of librdkafka that is closed
    /// before, in its state `wait-sync`, stays a member, and the next host waits for its session timeout.
    pub fn finish_joining(&self) {
        let deadline = Instant::now() + CLOSE_LIMIT;
        while !self.consumer.context().has_joined() && Instant::now() < deadline {
            if self.serve_events(SERVE_SLICE).is_err() {
                return;
            }
        }
    }

    /// Leaves the group, and destroys the consumer unless somebody else has it. Neither is waited for longer than a few seconds: the
    /// group notices by itself that a member is gone.
    pub fn close(self) {
        let consumer = self.consumer.clone();
        drop(self);
        if !destroy_within("consumer-close", consumer, CLOSE_LIMIT) {
            let limit = CLOSE_LIMIT.as_secs();
            tracing::warn!(target: "kafka", "the consumer did not leave the group within {limit} s; the group waits for its session timeout");
        }
    }

    /// Answers the group until all workers have made their last commit, no longer than a few seconds, and destroys the consumer without
    /// waiting for it: a member that leaves earlier makes the group rebalance, and the last commits of the others fail.
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
    /// From here on rebalances are carried out at once, as there is no pipeline to wait for. One that waits would keep the consumer
    /// from leaving the group, and whoever destroys it waits for that.
    fn drop(&mut self) {
        close(&self.consumer);
    }
}
