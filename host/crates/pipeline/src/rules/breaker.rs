//! The breaker: when record after record crashes the guest, the mapper is broken, and it gets no records until it works again.

use std::time::{Duration, Instant};

use mapper_core::verdict::{Blame, FailureKind};

/// The longest time between two probes.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What a verdict says about the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestHealth {
    /// It returned from its call, whatever it answered: a run of crashes is over.
    Healthy,
    /// It trapped, timed out or ran out of memory.
    Faulty,
}

impl GuestHealth {
    /// What a failure says about the guest; `None` if the guest was not called.
    pub(crate) fn of(kind: FailureKind) -> Option<Self> {
        match kind.blame() {
            Blame::Guest => Some(Self::Faulty),
            Blame::Record => Some(Self::Healthy),
            Blame::Topic | Blame::Host | Blame::Input => None,
        }
    }
}

/// Closed, it counts crashes; open, it tells when to probe the mapper.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    /// Crashes in a row that open it; 0: it never opens.
    after: u32,
    retry: Duration,
    /// Crashes since the last healthy verdict.
    run: u32,
    /// The run as of the last commit, without pending failures.
    committed: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone)]
struct Open {
    next: Instant,
    wait: Duration,
}

impl Breaker {
    /// A closed breaker, which opens after so many crashes in a row; the first probe comes after `retry`.
    pub(crate) fn new(after: u32, retry: Duration) -> Self {
        Self { after, retry, run: 0, committed: 0, open: None }
    }

    /// A record was judged while the breaker is closed. Returns whether to open it.
    pub(crate) fn judged(&mut self, health: GuestHealth) -> bool {
        self.run = if health == GuestHealth::Faulty { self.run.saturating_add(1) } else { 0 };
        self.after > 0 && self.run >= self.after
    }

    /// The number of crashes in a row.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// How many crashes of the run are not committed.
    pub(crate) fn uncommitted(&self) -> u32 {
        self.run.saturating_sub(self.committed)
    }

    /// What was judged is committed, without so many pending failures at its end.
    pub(crate) fn committed(&mut self, pending: u32) {
        self.committed = self.run.saturating_sub(pending);
    }

    /// What was judged since the last commit will be judged again.
    pub(crate) fn rewound(&mut self) {
        self.run = self.committed;
    }

    /// Opens it.
    pub(crate) fn open(&mut self, now: Instant) {
        self.open = Some(Open { next: now + self.retry, wait: self.retry });
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The time until the next probe; `None` when it is closed.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.open.as_ref().map(|open| open.next.saturating_duration_since(now))
    }

    /// A probe failed. Returns the time until the next one.
    pub(crate) fn probe_failed(&mut self, now: Instant) -> Duration {
        let wait = self.open.as_ref().map_or(self.retry, |open| (open.wait * 2).min(LONGEST_RETRY.max(self.retry)));
        self.open = Some(Open { next: now + wait, wait });
        wait
    }

    /// Closes it, as a probe succeeded or the mapper is another one. Returns whether it was open.
    pub(crate) fn close(&mut self) -> bool {
        (self.run, self.committed) = (0, 0);
        self.open.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::GuestHealth::{Faulty, Healthy};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn breaker_after_a_run_of_crashes_opens() {
        let cases: &[(u32, &[GuestHealth], bool)] = &[
            (3, &[Faulty, Faulty], false),
            (3, &[Faulty, Faulty, Faulty], true),
            (3, &[Faulty, Faulty, Healthy, Faulty, Faulty], false),
            (3, &[Faulty, Healthy, Faulty, Faulty, Faulty], true),
            (1, &[Healthy, Faulty], true),
            (0, &[Faulty, Faulty, Faulty, Faulty], false),
        ];
        for (after, verdicts, opens) in cases {
            let mut breaker = Breaker::new(*after, SECOND);
            let last = verdicts.iter().map(|health| breaker.judged(*health)).last();
            assert_eq!(last, Some(*opens), "after {after}: {verdicts:?}");
        }
    }

    #[test]
    fn guest_health_of_an_answer_is_healthy() {
        for kind in FailureKind::ALL {
            let broken = ["trap", "timeout", "out-of-memory"].contains(&kind.name());
            assert_eq!(GuestHealth::of(kind) == Some(Faulty), broken, "{kind}");
        }
    }

    #[test]
    fn open_breaker_after_failed_probes_waits_longer_up_to_a_limit() {
        let start = Instant::now();
        let mut breaker = Breaker::new(2, SECOND);
        assert_eq!(breaker.wait(start), None);
        breaker.open(start);
        assert_eq!(breaker.wait(start), Some(SECOND));
        assert_eq!(breaker.wait(start + 2 * SECOND), Some(Duration::ZERO));
        let waits: Vec<u64> = (0..8).map(|_| breaker.probe_failed(start).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(breaker.wait(start + 59 * SECOND), Some(SECOND));
        assert!(breaker.close() && !breaker.close());
        assert_eq!(breaker.wait(start), None);
        // And it counts from the start again.
        assert!(!breaker.judged(Faulty) && breaker.judged(Faulty));
    }

    #[test]
    fn run_of_crashes_after_a_rewind_counts_each_record_once() {
        let mut breaker = Breaker::new(4, SECOND);
        breaker.judged(Faulty);
        breaker.committed(0);
        breaker.judged(Faulty);
        breaker.judged(Faulty);
        breaker.rewound();
        assert_eq!(breaker.run(), 1);
        breaker.judged(Faulty);
        // A pending failure is not committed.
        breaker.committed(1);
        breaker.rewound();
        assert_eq!(breaker.run(), 1);
    }

    proptest! {
        #[test]
        fn breaker_opens_exactly_when_the_last_verdicts_were_all_crashes(
            after in 1_usize..6,
            crashed in proptest::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut breaker = Breaker::new(after as u32, SECOND);
            for at in 0..crashed.len() {
                let opens = breaker.judged(if crashed[at] { Faulty } else { Healthy });
                let last = &crashed[(at + 1).saturating_sub(after)..=at];
                prop_assert_eq!(opens, last.len() == after && last.iter().all(|crashed| *crashed));
            }
        }

        #[test]
        fn probe_wait_never_exceeds_the_limit(times in 0_usize..200, retry_ms in 10_u64..60_000, late_ms in 0_u64..100_000) {
            let (start, retry) = (Instant::now(), Duration::from_millis(retry_ms));
            let mut breaker = Breaker::new(1, retry);
            breaker.open(start);
            for _ in 0..times {
                let before = breaker.wait(start);
                let wait = breaker.probe_failed(start);
                prop_assert!(Some(wait) >= before && wait <= LONGEST_RETRY && wait >= retry);
            }
            prop_assert!(breaker.wait(start + Duration::from_millis(late_ms)) <= Some(LONGEST_RETRY));
        }
    }
}
