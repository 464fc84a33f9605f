//! Decides whether and when a halted pipeline restarts (pure).

use std::time::Duration;

use mapper_core::shutdown::Cause;

/// The pause before the first restart; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A generation that ran for this time was healthy: the next pause is the first one again.
const SOUND_AFTER: Duration = Duration::from_secs(60);

/// Whether a restart can help. A wrong setting or plugin stays wrong. A plugin that fails on too
/// many records would produce more dead letters at each start, which the halt prevents.
pub(super) fn can_help(cause: Cause) -> bool {
    match cause {
        Cause::Internal | Cause::Kafka => true,
        Cause::Configuration | Cause::Plugin | Cause::Failing | Cause::Audit => false,
    }
}

/// The pauses between the generations of a pipeline.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after a generation that ran for this time and then failed.
    pub(super) fn pause(&mut self, ran: Duration) -> Duration {
        if ran >= SOUND_AFTER {
            self.failures = 0;
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_backoff_doubles_up_to_a_minute_and_resets_after_a_healthy_generation() {
        let mut backoff = Backoff::default();
        let pauses = [1, 2, 4, 8, 16, 32, 60, 60].map(Duration::from_secs);
        assert_eq!(pauses.map(|_| backoff.pause(Duration::from_secs(5))), pauses);
        (0..100).for_each(|_| _ = backoff.pause(Duration::ZERO));
        assert_eq!(backoff.pause(Duration::ZERO), LONGEST_PAUSE);
        assert_eq!([SOUND_AFTER, Duration::ZERO].map(|ran| backoff.pause(ran).as_secs()), [1, 2]);
    }

    #[test]
    fn only_kafka_and_machine_errors_are_restarted() {
        let all = [Cause::Internal, Cause::Configuration, Cause::Plugin, Cause::Kafka, Cause::Failing];
        assert_eq!(all.map(can_help), [true, false, false, true, false]);
    }
}
