//! Whether a new version does as well as the one before it: arithmetic on counts, without clocks.

use super::outcome::is_crash;
use mapper_core::verdict::FailureKind;

/// A rate that is learnt from fewer records than this says nothing.
pub(super) const LEAST_BASELINE: u64 = 100;

/// What became of some records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// How many.
    pub records: u64,
    /// Those that became dead letters.
    pub failed: u64,
    /// Those at which the guest did not return: it trapped, or was too slow.
    pub crashed: u64,
    /// The kind of the first of these.
    pub crash: Option<FailureKind>,
}

impl Judged {
    /// Counts one record: how it failed, if it did.
    pub fn add_one(&mut self, failure: Option<FailureKind>) {
        let crash = failure.filter(|kind| is_crash(*kind));
        let (failed, crashed) = (failure.is_some().into(), crash.is_some().into());
        self.add(Self { records: 1, failed, crashed, crash });
    }

    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.failed += other.failed;
        self.crashed += other.crashed;
        self.crash = self.crash.or(other.crash);
    }

    /// The share that failed.
    pub fn ratio(&self) -> f64 {
        if self.records == 0 { 0.0 } else { self.failed as f64 / self.records as f64 }
    }
}

/// What became of about the last `size` records, up to twice as many.
#[derive(Debug, Clone, Default)]
pub struct Window {
    size: u64,
    older: Judged,
    newer: Judged,
}

impl Window {
    /// A window of at least this many records, once there are as many.
    pub fn new(size: u64) -> Self {
        Self { size: size.max(LEAST_BASELINE), ..Self::default() }
    }

    /// Takes in what was judged.
    pub fn add(&mut self, judged: Judged) {
        self.newer.add(judged);
        if self.newer.records >= self.size {
            self.older = std::mem::take(&mut self.newer);
        }
    }

    /// Another of the same size.
    pub fn emptied(&self) -> Self {
        Self { size: self.size, ..Self::default() }
    }

    /// What is in it.
    pub fn all(&self) -> Judged {
        let mut all = self.older;
        all.add(self.newer);
        all
    }
}

/// What a probation requires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbationTerms {
    /// How many records it lasts; 0 is none.
    pub records: u64,
    /// By how much the share of failures may be higher than before.
    pub tolerance: f64,
}

/// A version on probation.
#[derive(Debug, Clone)]
pub struct Probation {
    terms: ProbationTerms,
    baseline: Judged,
    so_far: Judged,
}

/// How a probation stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It goes on.
    On,
    /// The version stays.
    Passed,
    /// The version goes, for this reason.
    Failed(String),
}

impl Probation {
    /// Begins a probation of a version that follows one that did so well.
    pub fn new(terms: ProbationTerms, baseline: Judged) -> Self {
        Self { terms, baseline, so_far: Judged::default() }
    }

    /// Takes in what the version judged.
    pub fn add(&mut self, judged: Judged) {
        self.so_far.add(judged);
    }

    /// What it has judged so far.
    pub fn so_far(&self) -> Judged {
        self.so_far
    }

    /// The share of failures of the version before, unless it has judged too few records to tell.
    pub fn baseline_ratio(&self) -> Option<f64> {
        (self.baseline.records >= LEAST_BASELINE).then(|| self.baseline.ratio())
    }

    /// How many records it lasts.
    pub fn records(&self) -> u64 {
        self.terms.records
    }

    /// How it stands. It fails as soon as nothing that may come could save it.
    pub fn standing(&self) -> Standing {
        let (new, old) = (self.so_far, self.baseline);
        // A version that crashes less than the one before is a way out, not a reason to go back.
        let better = old.crashed > 0 && new.crashed * old.records <= old.crashed * new.records;
        if let Some(kind) = new.crash.filter(|_| !better) {
            return Standing::Failed(format!("{} of its first {} records ended in a {kind}", new.crashed, new.records));
        }
        if let Some(before) = self.baseline_ratio() {
            let most = (before + self.terms.tolerance) * self.terms.records.max(new.records) as f64;
            // A share has no exact binary form: a whole record more is meant, not the last bit.
            if new.failed as f64 > most + 1e-6 {
                return Standing::Failed(format!(
                    "{} of its first {} records failed; the version before failed on {:.1} %, and {:.1} % more are tolerated",
                    new.failed,
                    new.records,
                    before * 100.0,
                    self.terms.tolerance * 100.0
                ));
            }
        }
        if new.records >= self.terms.records { Standing::Passed } else { Standing::On }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(records: u64, failed: u64, crashed: u64) -> Judged {
        Judged { records, failed, crashed, crash: (crashed > 0).then_some(FailureKind::Trap) }
    }

    fn standing(baseline: Judged, so_far: Judged) -> Standing {
        let mut probation = Probation::new(ProbationTerms { records: 1000, tolerance: 0.05 }, baseline);
        probation.add(so_far);
        probation.standing()
    }

    #[test]
    fn the_rules() {
        let half = judged(2000, 1000, 0);
        let failed = |standing| matches!(standing, Standing::Failed(_));
        assert_eq!(standing(half, judged(999, 549, 0)), Standing::On);
        assert_eq!(standing(half, judged(1000, 550, 0)), Standing::Passed);
        assert!(failed(standing(half, judged(1000, 551, 0))));
        // As soon as it is certain, and not before.
        assert!(failed(standing(half, judged(600, 551, 0))));
        assert_eq!(standing(half, judged(500, 500, 0)), Standing::On);
        // One crash is enough, unless the version before crashed as often.
        assert!(failed(standing(half, judged(1, 1, 1))));
        assert_eq!(standing(judged(1000, 500, 100), judged(500, 250, 1)), Standing::On);
        assert!(failed(standing(judged(1000, 500, 100), judged(500, 250, 51))));
        // What came before was too little to tell.
        assert_eq!(standing(judged(99, 0, 0), judged(1000, 1000, 0)), Standing::Passed);
        assert_eq!(standing(judged(0, 0, 0), judged(1000, 1000, 0)), Standing::Passed);
    }

    #[test]
    fn a_window_has_the_last_records() {
        let mut window = Window::new(1000);
        (0..3000).for_each(|_| window.add(judged(1, 1, 0)));
        (0..2000).for_each(|_| window.add(judged(1, 0, 0)));
        assert_eq!(window.all(), judged(1000, 0, 0));
    }

    proptest! {
        /// A version that fails no more often than allowed passes, in whatever portions its records come.
        #[test]
        fn no_worse_passes(portions in prop::collection::vec((1..50_u64, 0..50_u64), 1..100), baseline in 0..100_u64) {
            let mut probation = Probation::new(ProbationTerms { records: 500, tolerance: 0.0 }, judged(100, baseline, 0));
            let (mut records, mut failures) = (0, 0);
            for (count, failed) in portions {
                let failed = failed.min(count).min((records + count) * baseline / 100 - failures);
                (records, failures) = (records + count, failures + failed);
                probation.add(judged(count, failed, 0));
                prop_assert_eq!(probation.standing(), if records >= 500 { Standing::Passed } else { Standing::On });
            }
        }

        /// One that is worse at the end has failed at some time before it was let go.
        #[test]
        fn worse_fails(step in 1..100_u64, baseline in 0..90_u64) {
            let mut probation = Probation::new(ProbationTerms { records: 500, tolerance: 0.05 }, judged(100, baseline, 0));
            let mut ended = Standing::On;
            while ended == Standing::On {
                probation.add(judged(step, (step * (baseline + 10)).div_ceil(100), 0));
                ended = probation.standing();
            }
            prop_assert!(matches!(ended, Standing::Failed(_)));
        }
    }
}
