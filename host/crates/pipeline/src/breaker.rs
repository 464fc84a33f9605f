//! The breaker: when record after record fails in a way that no sound mapper fails, it is the mapper that is broken, and
//! the records are left alone until it is mended.
//!
//! A pure state machine: what is judged and the time come from outside.

use std::time::{Duration, Instant};

use mapper_core::verdict::FailureKind;

/// However long it has been in vain, the mapper is tried this often.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What a verdict says of the mapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It came back from its call, whatever it said: a run of broken calls is over.
    Sound,
    /// It trapped, timed out or ran out of memory.
    Broken,
}

impl Sign {
    /// The sign that a failure is; `None` if the mapper was not asked.
    pub(super) fn of(kind: FailureKind) -> Option<Self> {
        match kind {
            FailureKind::Trap | FailureKind::Timeout | FailureKind::OutOfMemory => Some(Self::Broken),
            FailureKind::Rejected | FailureKind::InvalidOutput | FailureKind::Oversize => Some(Self::Sound),
            FailureKind::Undeliverable | FailureKind::HostCrash => None,
        }
    }
}

/// Closed, it counts; open, it says when the mapper is to be tried.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    /// 0 is never.
    after: u32,
    retry: Duration,
    /// Broken calls since the last sound one.
    run: u32,
    /// The run as of the last commit, without what was kept back from it.
    committed: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone)]
struct Open {
    next: Instant,
    wait: Duration,
}

impl Breaker {
    /// A closed one, that is to be opened after so many broken calls in a row, and then tries first after `retry`.
    pub(super) fn new(after: u32, retry: Duration) -> Self {
        Self { after, retry, run: 0, committed: 0, open: None }
    }

    /// A record was judged while it is closed. Tells whether it is to be opened.
    pub(super) fn judged(&mut self, sign: Sign) -> bool {
        self.run = if sign == Sign::Broken { self.run.saturating_add(1) } else { 0 };
        self.after > 0 && self.run >= self.after
    }

    /// How many calls in a row were broken.
    pub(super) fn run(&self) -> u32 {
        self.run
    }

    /// What was judged is committed, but for so many broken ones at its end.
    pub(super) fn committed(&mut self, held: u32) {
        self.committed = self.run.saturating_sub(held);
    }

    /// What was judged since the last commit will be judged again.
    pub(super) fn rewound(&mut self) {
        self.run = self.committed;
    }

    /// Opens it.
    pub(super) fn open(&mut self, now: Instant) {
        self.open = Some(Open { next: now + self.retry, wait: self.retry });
    }

    /// Whether it is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How long until the mapper is to be tried; `None` when it is closed.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.open.as_ref().map(|open| open.next.saturating_duration_since(now))
    }

    /// The mapper was tried, in vain. Returns how long it is left alone now.
    pub(super) fn tried_in_vain(&mut self, now: Instant) -> Duration {
        let wait = self.open.as_ref().map_or(self.retry, |open| (open.wait * 2).min(LONGEST_RETRY.max(self.retry)));
        self.open = Some(Open { next: now + wait, wait });
        wait
    }

    /// Closes it, as a record passed or the mapper is another one. Tells whether it was open.
    pub(super) fn close(&mut self) -> bool {
        (self.run, self.committed) = (0, 0);
        self.open.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Sign::{Broken, Sound};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_run_of_broken_calls_opens_it_and_nothing_else_does() {
        let cases: &[(u32, &[Sign], bool)] = &[
            (3, &[Broken, Broken], false),
            (3, &[Broken, Broken, Broken], true),
            (3, &[Broken, Broken, Sound, Broken, Broken], false),
            (3, &[Broken, Sound, Broken, Broken, Broken], true),
            (1, &[Sound, Broken], true),
            (0, &[Broken, Broken, Broken, Broken], false),
        ];
        for (after, signs, opens) in cases {
            let mut breaker = Breaker::new(*after, SECOND);
            let last = signs.iter().map(|sign| breaker.judged(*sign)).last();
            assert_eq!(last, Some(*opens), "after {after}: {signs:?}");
        }
    }

    #[test]
    fn what_is_only_an_answer_is_no_sign_of_a_broken_mapper() {
        for kind in FailureKind::ALL {
            let broken = ["trap", "timeout", "out-of-memory"].contains(&kind.name());
            assert_eq!(Sign::of(kind) == Some(Broken), broken, "{kind}");
        }
    }

    #[test]
    fn it_is_tried_ever_less_often_but_tried() {
        let start = Instant::now();
        let mut breaker = Breaker::new(2, SECOND);
        assert_eq!(breaker.wait(start), None);
        breaker.open(start);
        assert_eq!(breaker.wait(start), Some(SECOND));
        assert_eq!(breaker.wait(start + 2 * SECOND), Some(Duration::ZERO));
        let waits: Vec<u64> = (0..8).map(|_| breaker.tried_in_vain(start).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(breaker.wait(start + 59 * SECOND), Some(SECOND));
        assert!(breaker.close() && !breaker.close());
        assert_eq!(breaker.wait(start), None);
        // And it counts from the start again.
        assert!(!breaker.judged(Broken) && breaker.judged(Broken));
    }

    #[test]
    fn what_is_judged_twice_counts_once() {
        let mut breaker = Breaker::new(4, SECOND);
        breaker.judged(Broken);
        breaker.committed(0);
        breaker.judged(Broken);
        breaker.judged(Broken);
        breaker.rewound();
        assert_eq!(breaker.run(), 1);
        breaker.judged(Broken);
        // What is held back is not committed.
        breaker.committed(1);
        breaker.rewound();
        assert_eq!(breaker.run(), 1);
    }

    proptest! {
        #[test]
        fn it_opens_exactly_when_the_last_calls_were_all_broken(
            after in 1_usize..6,
            signs in proptest::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut breaker = Breaker::new(after as u32, SECOND);
            for at in 0..signs.len() {
                let opens = breaker.judged(if signs[at] { Broken } else { Sound });
                let last = &signs[(at + 1).saturating_sub(after)..=at];
                prop_assert_eq!(opens, last.len() == after && last.iter().all(|broken| *broken));
            }
        }

        #[test]
        fn no_wait_is_longer_than_the_longest(times in 0_usize..200, retry_ms in 10_u64..60_000, late_ms in 0_u64..100_000) {
            let (start, retry) = (Instant::now(), Duration::from_millis(retry_ms));
            let mut breaker = Breaker::new(1, retry);
            breaker.open(start);
            for _ in 0..times {
                let before = breaker.wait(start);
                let wait = breaker.tried_in_vain(start);
                prop_assert!(Some(wait) >= before && wait <= LONGEST_RETRY && wait >= retry);
            }
            prop_assert!(breaker.wait(start + Duration::from_millis(late_ms)) <= Some(LONGEST_RETRY));
        }
    }
}
