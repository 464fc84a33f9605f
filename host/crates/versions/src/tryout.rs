//! The try-out: a new version maps the sampled records and the cases. Its outcomes are compared with the earlier ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::outcome::{Outcome, describe_both, excerpt};
use super::sample::Sampled;
use mapper_api::versions::{Difference, TryOut};
use mapper_core::decision::Routes;
use mapper_core::quotation::CRASH;
use mapper_core::record::Record;
use mapper_core::verdict::Verdicts;
use mapper_pipeline::contracts::Mapper;

/// The most differences in the report.
const MAX_DIFFERENCES: usize = 10;
/// Records that crashed before can crash again, each after its timeout. So the duration is bounded.
const MAX_DURATION: Duration = Duration::from_secs(30);

/// The result of a comparison of two outcomes of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    Same,
    /// Both succeed, or both fail, in different ways.
    Different,
    /// Only the new version fails.
    Broken,
    /// Only the old version fails.
    Fixed,
    /// Only the new version crashes.
    Crash,
}

pub fn compare(old: &Outcome, new: &Outcome) -> Compared {
    if new.is_crash() && !old.is_crash() {
        return Compared::Crash;
    }
    match (old.failure(), new.failure()) {
        _ if old == new => Compared::Same,
        (None, Some(_)) => Compared::Broken,
        (Some(_), None) => Compared::Fixed,
        _ => Compared::Different,
    }
}

/// The position of a record as text.
pub fn describe_position(record: Record<'_>) -> String {
    format!("{}, partition {}, offset {}", record.topic(), record.partition(), record.offset())
}

/// A try-out in progress.
pub struct Trial {
    began: Instant,
    max_duration: Duration,
    is_cancelled: Box<dyn Fn() -> bool>,
    found: TryOut,
    first: Vec<Difference>,
    others: Vec<Difference>,
    crash: Option<String>,
}

impl Default for Trial {
    fn default() -> Self {
        Self::with_cancellation(|| false)
    }
}

impl Trial {
    /// A try-out that ends early when `is_cancelled` returns true.
    pub fn with_cancellation(is_cancelled: impl Fn() -> bool + 'static) -> Self {
        let (found, first, others) = Default::default();
        let (began, max_duration, is_cancelled) = (Instant::now(), MAX_DURATION, Box::new(is_cancelled));
        Self { began, max_duration, is_cancelled, found, first, others, crash: None }
    }

    /// Whether the result is known, the time is over, or the try-out was cancelled.
    pub fn is_over(&self) -> bool {
        self.crash.is_some() || self.began.elapsed() > self.max_duration || (self.is_cancelled)()
    }

    pub fn add_case(&mut self, compared: Compared, difference: impl FnOnce() -> Difference) {
        self.found.cases += 1;
        self.add(compared, difference);
    }

    pub fn add(&mut self, compared: Compared, difference: impl FnOnce() -> Difference) {
        match compared {
            Compared::Same => return self.found.same += 1,
            Compared::Different => {}
            Compared::Fixed => self.found.fixed += 1,
            Compared::Broken | Compared::Crash => self.found.broken += 1,
        }
        self.found.different += 1;
        let is_failure = matches!(compared, Compared::Broken | Compared::Crash);
        let differences = if is_failure { &mut self.first } else { &mut self.others };
        if differences.len() < MAX_DIFFERENCES || compared == Compared::Crash {
            let difference = difference();
            if compared == Compared::Crash {
                self.crash = Some(format!("{}: {}", difference.record, difference.new));
                differences.insert(0, difference);
            } else {
                differences.push(difference);
            }
        }
    }

    /// Maps the records, one per call, until the mapper crashes on one that did not crash before.
    pub fn map(&mut self, mapper: &mut impl Mapper, sample: &[Arc<Sampled>], routes: &Routes) {
        let mut verdicts = Verdicts::default();
        for sampled in sample {
            if self.is_over() {
                return;
            }
            verdicts.clear();
            mapper.map(&sampled.batch, &mut verdicts);
            let Some(verdict) = verdicts.iter().next() else { continue };
            let new = Outcome::from_verdict(sampled.record(), verdict, routes);
            self.found.records += 1;
            self.add(compare(&sampled.outcome, &new), || {
                let [old, new] = describe_both(&sampled.outcome, &new, routes);
                Difference {
                    record: describe_position(sampled.record()),
                    input: excerpt(sampled.record().value()),
                    old,
                    new,
                }
            });
        }
    }

    /// Returns the results. Also returns the reason of a refusal: a new crash, or more than `max_broken` broken records.
    pub fn finish(mut self, max_broken: usize) -> (TryOut, Option<String>) {
        self.first.truncate(MAX_DIFFERENCES);
        self.others.truncate(MAX_DIFFERENCES - self.first.len());
        self.found.differences = [self.first, self.others].concat();
        let TryOut { records, cases, broken, .. } = self.found;
        let refused = match self.crash {
            Some(crash) => Some(format!("the new version {CRASH}{crash}")),
            None if broken > max_broken => Some(format!(
                "{broken} of {} that should pass fail with the new version; {max_broken} are allowed \
                 (--swap-max-regressions). If that is meant, swap it with --force",
                if cases > 0 { format!("{records} records and {cases} cases") } else { format!("{records} records") }
            )),
            None => None,
        };
        (self.found, refused)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::sample::tests::version;
    use mapper_core::record::Batch;
    use mapper_core::verdict::{Columns, Failure, FailureKind};

    fn routes() -> Routes {
        Routes::with_default_limits(&["reduced"], "dlq")
    }

    /// Fails on these values and keeps all others.
    struct FailsOn(&'static [&'static str], FailureKind);

    impl Mapper for FailsOn {
        fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
            for record in records.map(|index| batch.record(index)) {
                let value = std::str::from_utf8(record.value().unwrap()).unwrap();
                if self.0.contains(&value) {
                    verdicts.push_failure(Failure::new(self.1, "no"));
                    continue;
                }
                let mut columns = Columns { statuses: vec![0], output_ends: vec![1], ..Columns::default() };
                columns.values.push(Some(value.as_bytes()));
                verdicts.push_columns(columns);
            }
        }
    }

    /// Records with the outcomes of this mapper.
    fn sample(values: &[&str], by: &mut FailsOn) -> Vec<Arc<Sampled>> {
        let sampled = |(offset, value): (i64, &&str)| {
            let mut batch = Batch::new("visits");
            batch.push((0, offset), 0, None, Some(value.as_bytes()), std::iter::empty());
            let mut verdicts = Verdicts::default();
            by.map(&batch, &mut verdicts);
            let outcome = Outcome::from_verdict(batch.record(0), verdicts.iter().next().unwrap(), &routes());
            Arc::new(Sampled { batch, outcome, version: version(), mapped_at: chrono::Utc::now() })
        };
        (0..).zip(values).map(sampled).collect()
    }

    fn try_out(old: FailsOn, mut new: FailsOn, max_broken: usize) -> (TryOut, Option<String>) {
        let mut old = old;
        let sample = sample(&["a", "b", "c", "d"], &mut old);
        let mut trial = Trial::default();
        trial.map(&mut new, &sample, &routes());
        trial.finish(max_broken)
    }

    use FailureKind::{InvalidOutput, Rejected, Timeout, Trap};

    #[test]
    fn equal_outcomes_are_accepted() {
        let (found, refused) = try_out(FailsOn(&["b"], Rejected), FailsOn(&["b"], Rejected), 0);
        assert_eq!((found.records, found.same, found.different, refused), (4, 4, 0, None));
    }

    #[test]
    fn broken_records_are_counted_and_listed_first() {
        let (found, refused) = try_out(FailsOn(&["b"], Rejected), FailsOn(&["c", "d"], Rejected), 1);
        assert_eq!((found.same, found.different, found.broken, found.fixed), (1, 3, 2, 1));
        assert!(refused.unwrap().contains("2 of 4 records"));
        let shown: Vec<_> = found.differences.iter().map(|shown| (&*shown.input, &*shown.old, &*shown.new)).collect();
        assert_eq!(shown, [("c", "c", "rejected: no"), ("d", "d", "rejected: no"), ("b", "rejected: no", "b")]);
        assert_eq!(found.differences[0].record, "visits, partition 0, offset 2");
        let (_, refused) = try_out(FailsOn(&["b"], Rejected), FailsOn(&["c", "d"], Rejected), 2);
        assert_eq!(refused, None);
    }

    #[test]
    fn new_crash_refuses_the_version_for_any_limit() {
        for kind in [Trap, Timeout] {
            let (found, refused) = try_out(FailsOn(&[], Trap), FailsOn(&["b", "c"], kind), 100);
            assert_eq!(found.records, 2, "the try-out ends at the crash");
            assert!(refused.unwrap().contains(&format!("visits, partition 0, offset 1: {kind}: no")));
        }
        // A record that failed before without a crash counts, too.
        let (_, refused) = try_out(FailsOn(&["b"], Rejected), FailsOn(&["b"], Trap), 100);
        assert!(refused.is_some());
    }

    #[test]
    fn try_out_that_exceeds_its_duration_is_judged_by_the_records_so_far() {
        /// Sleeps on each record, as a guest that times out.
        struct Slow(FailsOn);

        impl Mapper for Slow {
            fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
                std::thread::sleep(Duration::from_millis(20));
                self.0.map_until_failure(batch, records, verdicts);
            }
        }

        let sample = sample(&["a", "b", "c", "d"], &mut FailsOn(&["a", "b", "c", "d"], Timeout));
        let mut trial = Trial { max_duration: Duration::from_millis(1), ..Trial::default() };
        trial.map(&mut Slow(FailsOn(&["a", "b", "c", "d"], Timeout)), &sample, &routes());
        let (found, refused) = trial.finish(0);
        assert_eq!((found.records, found.same, refused), (1, 1, None));
    }

    #[test]
    fn version_that_fixes_some_crashes_is_accepted() {
        let (found, refused) = try_out(FailsOn(&["a", "b", "c"], Trap), FailsOn(&["b"], Trap), 0);
        assert_eq!((found.fixed, found.same, refused), (2, 2, None));
    }

    #[test]
    fn different_failures_are_not_broken() {
        let (found, refused) = try_out(FailsOn(&["a"], Rejected), FailsOn(&["a"], InvalidOutput), 0);
        assert_eq!((found.different, found.broken, refused), (1, 0, None));
    }
}
