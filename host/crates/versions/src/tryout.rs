//! The try-out: a new version maps the last records again, and what it makes of them is held against what was made of them.

use std::time::{Duration, Instant};

use super::outcome::{Outcome, shown, told_apart};
use super::report::{Difference, TryOut};
use super::sample::Sampled;
use mapper_core::decision::Routes;
use mapper_core::record::Record;
use mapper_core::verdict::Verdicts;
use mapper_pipeline::contracts::Mapper;

/// How many records that differ are shown.
const SHOWN: usize = 10;
/// Records that crashed before may crash again, each after its timeout: no try-out goes on for longer.
const LONGEST: Duration = Duration::from_secs(30);

/// How two outcomes of one record compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// They are equal.
    Same,
    /// Both pass, or both fail, in different ways.
    Different,
    /// It used to pass and now fails.
    Broken,
    /// It used to fail and now passes.
    Fixed,
    /// The guest does not return from it, and used to.
    Crash,
}

/// Compares the outcomes of one record.
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

/// Where a record is, in words.
pub fn place(record: Record<'_>) -> String {
    format!("{}, partition {}, offset {}", record.topic(), record.partition(), record.offset())
}

/// A try-out in the making.
pub struct Trial {
    began: Instant,
    longest: Duration,
    /// Whether nobody waits for its result any more.
    is_pointless: Box<dyn Fn() -> bool>,
    found: TryOut,
    first: Vec<Difference>,
    others: Vec<Difference>,
    crash: Option<String>,
}

impl Default for Trial {
    fn default() -> Self {
        Self::until(|| false)
    }
}

impl Trial {
    /// A try-out that ends early once this says so.
    pub fn until(is_pointless: impl Fn() -> bool + 'static) -> Self {
        let (found, first, others) = Default::default();
        let (began, longest, is_pointless) = (Instant::now(), LONGEST, Box::new(is_pointless));
        Self { began, longest, is_pointless, found, first, others, crash: None }
    }

    /// Whether it is clear how it ends, or it has taken too long already.
    pub fn is_over(&self) -> bool {
        self.crash.is_some() || self.began.elapsed() > self.longest || (self.is_pointless)()
    }

    /// Takes in how one case came out.
    pub fn add_case(&mut self, compared: Compared, difference: impl FnOnce() -> Difference) {
        self.found.cases += 1;
        self.add(compared, difference);
    }

    /// Takes in how one record, or one case, came out.
    pub fn add(&mut self, compared: Compared, difference: impl FnOnce() -> Difference) {
        match compared {
            Compared::Same => return self.found.same += 1,
            Compared::Different => {}
            Compared::Fixed => self.found.fixed += 1,
            Compared::Broken | Compared::Crash => self.found.broken += 1,
        }
        self.found.different += 1;
        let is_failure = matches!(compared, Compared::Broken | Compared::Crash);
        let shown = if is_failure { &mut self.first } else { &mut self.others };
        if shown.len() < SHOWN || compared == Compared::Crash {
            let difference = difference();
            if compared == Compared::Crash {
                self.crash = Some(format!("{}: {}", difference.record, difference.new));
                shown.insert(0, difference);
            } else {
                shown.push(difference);
            }
        }
    }

    /// Maps the records again, one a call, until the mapper crashes on one that passed before.
    pub fn map(&mut self, mapper: &mut impl Mapper, sample: &[Sampled], routes: &Routes) {
        let mut verdicts = Verdicts::default();
        for sampled in sample {
            if self.is_over() {
                return;
            }
            verdicts.clear();
            mapper.map(&sampled.batch, &mut verdicts);
            let Some(verdict) = verdicts.iter().next() else { continue };
            let new = Outcome::of(sampled.record(), verdict, routes);
            self.found.records += 1;
            self.add(compare(&sampled.outcome, &new), || {
                let [old, new] = told_apart(&sampled.outcome, &new, routes);
                Difference { record: place(sampled.record()), input: shown(sampled.record().value()), old, new }
            });
        }
    }

    /// What was found, and why the version is refused, if it is: it crashed, or has more broken than allowed.
    pub fn end(mut self, max_broken: usize) -> (TryOut, Option<String>) {
        self.first.truncate(SHOWN);
        self.others.truncate(SHOWN - self.first.len());
        self.found.differences = [self.first, self.others].concat();
        let TryOut { records, cases, broken, .. } = self.found;
        let refused = match self.crash {
            Some(crash) => Some(format!("the new version does not return from a record: {crash}")),
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
    use super::*;
    use mapper_core::record::Batch;
    use mapper_core::verdict::{Columns, Failure, FailureKind};

    fn routes() -> Routes {
        Routes::with_default_limits(&["reduced"], "dlq")
    }

    /// Fails on the values it is told to, else keeps them.
    struct FailsOn(&'static [&'static str], FailureKind);

    impl Mapper for FailsOn {
        fn map_until_failure(&mut self, batch: &Batch, verdicts: &mut Verdicts) {
            for record in batch.records() {
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

    /// Records with what this mapper makes of them.
    fn sample(values: &[&str], by: &mut FailsOn) -> Vec<Sampled> {
        let sampled = |(offset, value): (i64, &&str)| {
            let mut batch = Batch::new("visits");
            batch.push((0, offset), 0, None, Some(value.as_bytes()), std::iter::empty());
            let mut verdicts = Verdicts::default();
            by.map(&batch, &mut verdicts);
            let outcome = Outcome::of(batch.record(0), verdicts.iter().next().unwrap(), &routes());
            Sampled { batch, outcome }
        };
        (0..).zip(values).map(sampled).collect()
    }

    fn try_out(old: FailsOn, mut new: FailsOn, most: usize) -> (TryOut, Option<String>) {
        let mut old = old;
        let sample = sample(&["a", "b", "c", "d"], &mut old);
        let mut trial = Trial::default();
        trial.map(&mut new, &sample, &routes());
        trial.end(most)
    }

    use FailureKind::{InvalidOutput, Rejected, Timeout, Trap};

    #[test]
    fn the_same_passes() {
        let (found, refused) = try_out(FailsOn(&["b"], Rejected), FailsOn(&["b"], Rejected), 0);
        assert_eq!((found.records, found.same, found.different, refused), (4, 4, 0, None));
    }

    #[test]
    fn what_used_to_pass_and_fails_is_counted_and_shown() {
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
    fn a_crash_refuses_at_once_whatever_is_allowed() {
        for kind in [Trap, Timeout] {
            let (found, refused) = try_out(FailsOn(&[], Trap), FailsOn(&["b", "c"], kind), 100);
            assert_eq!(found.records, 2, "it ends there");
            assert!(refused.unwrap().contains(&format!("visits, partition 0, offset 1: {kind}: no")));
        }
        // Also where the record failed before, but returned.
        let (_, refused) = try_out(FailsOn(&["b"], Rejected), FailsOn(&["b"], Trap), 100);
        assert!(refused.is_some());
    }

    #[test]
    fn what_takes_too_long_is_judged_by_what_was_tried_until_then() {
        /// Takes its time for each record, as one that times out.
        struct Slow(FailsOn);

        impl Mapper for Slow {
            fn map_until_failure(&mut self, batch: &Batch, verdicts: &mut Verdicts) {
                std::thread::sleep(Duration::from_millis(20));
                self.0.map_until_failure(batch, verdicts);
            }
        }

        let sample = sample(&["a", "b", "c", "d"], &mut FailsOn(&["a", "b", "c", "d"], Timeout));
        let mut trial = Trial { longest: Duration::from_millis(1), ..Trial::default() };
        trial.map(&mut Slow(FailsOn(&["a", "b", "c", "d"], Timeout)), &sample, &routes());
        let (found, refused) = trial.end(0);
        assert_eq!((found.records, found.same, refused), (1, 1, None));
    }

    #[test]
    fn a_version_that_mends_some_crashes_is_let_in() {
        let (found, refused) = try_out(FailsOn(&["a", "b", "c"], Trap), FailsOn(&["b"], Trap), 0);
        assert_eq!((found.fixed, found.same, refused), (2, 2, None));
    }

    #[test]
    fn two_ways_to_fail_differ_without_being_a_regression() {
        let (found, refused) = try_out(FailsOn(&["a"], Rejected), FailsOn(&["a"], InvalidOutput), 0);
        assert_eq!((found.different, found.broken, refused), (1, 0, None));
    }
}
