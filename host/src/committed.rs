//! Asks Kafka now and then what the group has committed: for those who watch, and to notice that it doesn't answer.

use std::time::{Duration, Instant};

use crate::kafka::setup::Setup;
use crate::shutdown::Shutdown;
use crate::telemetry::Telemetry;

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(2);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is asked about by a host that has no partition; every topic has this one.
const SOME_PARTITION: i32 = 0;

/// Asks until the shutdown. An answer that doesn't come makes the host not ready.
pub fn follow(setup: &Setup, topic: &str, telemetry: &Telemetry, shutdown: &Shutdown) {
    let mut silent: Option<Instant> = None;
    while !shutdown.requested() {
        shutdown.sleep(EVERY);
        let mut partitions: Vec<i32> = telemetry.workers.places().into_keys().collect();
        if partitions.is_empty() {
            partitions.push(SOME_PARTITION);
        }
        match setup.committed(topic, partitions, PATIENCE) {
            Ok(committed) => {
                telemetry.workers.committed(&committed);
                telemetry.health.ready("kafka");
                silent = None;
            }
            Err(error) => {
                let seconds = silent.get_or_insert_with(Instant::now).elapsed().as_secs();
                telemetry.health.not_ready("kafka", format!("no answer for {seconds} s: {error}"));
            }
        }
    }
}
