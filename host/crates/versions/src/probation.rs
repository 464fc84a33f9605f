//! Probation: compares the failures of a new version with those of the version before it. It has no clock.

use mapper_core::verdict::FailureKind;

/// A failure ratio of fewer records is not significant.
pub(super) const MIN_BASELINE_RECORDS: u64 = 100;

/// Counts of judged records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JudgedCounts {
    pub records: u64,
    /// Records that became dead letters.
    pub failed: u64,
    /// Records on which the guest did not return: a trap, a timeout or no memory.
    pub crashed: u64,
    /// The kind of the first crash.
    pub crash: Option<FailureKind>,
}

impl JudgedCounts {
    /// Counts one record; `failure` is the kind of its dead letter, if it became one.
    pub fn add_one(&mut self, failure: Option<FailureKind>) {
        let crash = failure.filter(|kind| kind.is_crash());
        let (failed, crashed) = (failure.is_some().into(), crash.is_some().into());
        self.add(Self { records: 1, failed, crashed, crash });
    }

    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.failed += other.failed;
        self.crashed += other.crashed;
        self.crash = self.crash.or(other.crash);
    }

    pub fn failure_ratio(&self) -> f64 {
        if self.records == 0 { 0.0 } else { self.failed as f64 / self.records as f64 }
    }
}

/// Counts of the last `size` to `2 * size` records.
#[derive(Debug, Clone, Default)]
pub struct Window {
    size: u64,
    older: JudgedCounts,
    newer: JudgedCounts,
}

impl Window {
    pub fn new(size: u64) -> Self {
        Self { size: size.max(MIN_BASELINE_RECORDS), ..Self::default() }
    }

    pub fn add(&mut self, judged: JudgedCounts) {
        self.newer.add(judged);
        if self.newer.records >= self.size {
            self.older = std::mem::take(&mut self.newer);
        }
    }

    /// An empty window of the same size.
    pub fn to_empty(&self) -> Self {
        Self { size: self.size, ..Self::default() }
    }

    pub fn counts(&self) -> JudgedCounts {
        let mut all = self.older;
        all.add(self.newer);
        all
    }
}

/// The settings of a probation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbationSettings {
    /// The number of records; 0 switches probation off.
    pub records: u64,
    /// The allowed increase of the failure ratio.
    pub tolerance: f64,
}

/// A version on probation.
#[derive(Debug, Clone)]
pub struct Probation {
    settings: ProbationSettings,
    baseline: JudgedCounts,
    counts: JudgedCounts,
}

/// The state of a probation.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbationState {
    Running,
    Passed,
    /// Has the reason.
    Failed(String),
}

impl Probation {
    /// `baseline` has the counts of the version before.
    pub fn new(settings: ProbationSettings, baseline: JudgedCounts) -> Self {
        Self { settings, baseline, counts: JudgedCounts::default() }
    }

    pub fn add(&mut self, judged: JudgedCounts) {
        self.counts.add(judged);
    }

    pub fn counts(&self) -> JudgedCounts {
        self.counts
    }

    /// The failure ratio of the version before, if it judged enough records.
    pub fn baseline_ratio(&self) -> Option<f64> {
        (self.baseline.records >= MIN_BASELINE_RECORDS).then(|| self.baseline.failure_ratio())
    }

    /// The number of records after which it passes.
    pub fn max_records(&self) -> u64 {
        self.settings.records
    }

    /// It fails as soon as the records that are left cannot make it pass.
    pub fn state(&self) -> ProbationState {
        let (new, old) = (self.counts, self.baseline);
        // A version that crashes less often than the version before is an improvement.
        let crashes_less = old.crashed > 0 && new.crashed * old.records <= old.crashed * new.records;
        if let Some(kind) = new.crash.filter(|_| !crashes_less) {
            return ProbationState::Failed(format!(
                "{} of its first {} records ended in a {kind}",
                new.crashed, new.records
            ));
        }
        if let Some(before) = self.baseline_ratio() {
            let allowed = (before + self.settings.tolerance) * self.settings.records.max(new.records) as f64;
            // A ratio has no exact binary form. The margin is smaller than one record.
            if new.failed as f64 > allowed + 1e-6 {
                return ProbationState::Failed(format!(
                    "{} of its first {} records failed; the version before failed on {:.1} %, and {:.1} % more are tolerated",
                    new.failed,
                    new.records,
                    before * 100.0,
                    self.settings.tolerance * 100.0
                ));
            }
        }
        if new.records >= self.settings.records { ProbationState::Passed } else { ProbationState::Running }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(records: u64, failed: u64, crashed: u64) -> JudgedCounts {
        JudgedCounts { records, failed, crashed, crash: (crashed > 0).then_some(FailureKind::Trap) }
    }

    fn state(baseline: JudgedCounts, counts: JudgedCounts) -> ProbationState {
        let mut probation = Probation::new(ProbationSettings { records: 1000, tolerance: 0.05 }, baseline);
        probation.add(counts);
        probation.state()
    }

    #[test]
    fn probation_fails_on_more_failures_or_crashes_than_the_baseline() {
        let half = judged(2000, 1000, 0);
        let failed = |state| matches!(state, ProbationState::Failed(_));
        assert_eq!(state(half, judged(999, 549, 0)), ProbationState::Running);
        assert_eq!(state(half, judged(1000, 550, 0)), ProbationState::Passed);
        assert!(failed(state(half, judged(1000, 551, 0))));
        // It fails as soon as the result is certain.
        assert!(failed(state(half, judged(600, 551, 0))));
        assert_eq!(state(half, judged(500, 500, 0)), ProbationState::Running);
        // One crash is enough, if the version before crashed less often.
        assert!(failed(state(half, judged(1, 1, 1))));
        assert_eq!(state(judged(1000, 500, 100), judged(500, 250, 1)), ProbationState::Running);
        assert!(failed(state(judged(1000, 500, 100), judged(500, 250, 51))));
        // The baseline has too few records.
        assert_eq!(state(judged(99, 0, 0), judged(1000, 1000, 0)), ProbationState::Passed);
        assert_eq!(state(judged(0, 0, 0), judged(1000, 1000, 0)), ProbationState::Passed);
    }

    #[test]
    fn window_has_the_last_records() {
        let mut window = Window::new(1000);
        (0..3000).for_each(|_| window.add(judged(1, 1, 0)));
        (0..2000).for_each(|_| window.add(judged(1, 0, 0)));
        assert_eq!(window.counts(), judged(1000, 0, 0));
    }

    proptest! {
        /// Batch sizes do not change the result.
        #[test]
        fn allowed_failure_ratio_passes(portions in prop::collection::vec((1..50_u64, 0..50_u64), 1..100), baseline in 0..100_u64) {
            let mut probation = Probation::new(ProbationSettings { records: 500, tolerance: 0.0 }, judged(100, baseline, 0));
            let (mut records, mut failures) = (0, 0);
            for (count, failed) in portions {
                let failed = failed.min(count).min((records + count) * baseline / 100 - failures);
                (records, failures) = (records + count, failures + failed);
                probation.add(judged(count, failed, 0));
                prop_assert_eq!(probation.state(), if records >= 500 { ProbationState::Passed } else { ProbationState::Running });
            }
        }

        #[test]
        fn higher_failure_ratio_fails(step in 1..100_u64, baseline in 0..90_u64) {
            let mut probation = Probation::new(ProbationSettings { records: 500, tolerance: 0.05 }, judged(100, baseline, 0));
            let mut ended = ProbationState::Running;
            while ended == ProbationState::Running {
                probation.add(judged(step, (step * (baseline + 10)).div_ceil(100), 0));
                ended = probation.state();
            }
            prop_assert!(matches!(ended, ProbationState::Failed(_)));
        }
    }
}
