//! Polls the committed offsets of the group, for the status and for the readiness of the host.

use std::time::{Duration, Instant};

use mapper_core::shutdown::Shutdown;
use mapper_kafka::setup::Setup;
use mapper_telemetry::Telemetry;

/// The interval of the requests.
const EVERY: Duration = Duration::from_secs(2);
/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(2);

/// The number of requests in a row that must fail: one slow answer is not an outage.
const SEVERAL: u32 = 3;

/// Polls until the shutdown. The host is not ready when several requests in a row failed and `unready_after` has passed since the last answer.
pub fn follow(setup: &Setup, telemetry: &Telemetry, unready_after: Duration, shutdown: &Shutdown) {
    let mut silence = Silence::new(unready_after, Instant::now());
    while !shutdown.requested() {
        shutdown.sleep(EVERY);
        let mut partitions: Vec<i32> = telemetry.workers.positions().into_keys().collect();
        if partitions.is_empty() {
            partitions.extend(setup.any_partition());
        }
        match setup.read_committed(&partitions, PATIENCE) {
            Ok(committed) => {
                telemetry.workers.committed(&committed);
                telemetry.health.ready("kafka");
                silence.answered(Instant::now());
            }
            Err(error) => match silence.unanswered(Instant::now()) {
                Some(silent) => {
                    telemetry.health.not_ready("kafka", format!("no answer for {} s: {error}", silent.as_secs()));
                }
                None => tracing::debug!(target: "kafka", %error, "request for committed offsets failed"),
            },
        }
    }
}

/// The time without an answer of Kafka.
struct Silence {
    unready_after: Duration,
    /// The time of the last answer.
    since: Instant,
    unanswered: u32,
}

impl Silence {
    fn new(unready_after: Duration, now: Instant) -> Self {
        Self { unready_after, since: now, unanswered: 0 }
    }

    fn answered(&mut self, now: Instant) {
        (self.since, self.unanswered) = (now, 0);
    }

    /// The time since the last answer, if the host is not ready because of it.
    fn unanswered(&mut self, now: Instant) -> Option<Duration> {
        self.unanswered = self.unanswered.saturating_add(1);
        let silent = now.saturating_duration_since(self.since);
        (self.unanswered >= SEVERAL && silent >= self.unready_after).then_some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_not_ready_after_several_failed_requests_over_the_configured_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(Duration::from_secs(15), start);
        for second in [4, 8, 12] {
            assert_eq!(silence.unanswered(at(second)), None);
        }
        assert_eq!(silence.unanswered(at(16)), Some(Duration::from_secs(16)));
        silence.answered(at(18));
        // One slow answer is not enough.
        assert_eq!((silence.unanswered(at(60)), silence.unanswered(at(61))), (None, None));
        assert_eq!(silence.unanswered(at(62)), Some(Duration::from_secs(44)));
        let mut at_once = Silence::new(Duration::ZERO, start);
        assert_eq!((at_once.unanswered(start), at_once.unanswered(start)), (None, None));
        assert_eq!(at_once.unanswered(start), Some(Duration::ZERO));
    }
}
