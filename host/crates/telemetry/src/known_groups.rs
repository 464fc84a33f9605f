//! The groups of failures that this process has seen. A group is new once, also if its pipeline restarts.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::failures::{Failures, Group};

/// The maximum number of known groups of a pipeline. A plugin can make any number of fingerprints: groups beyond the limit do not count as new.
const MOST_KNOWN: usize = 4096;

/// The known groups of all pipelines of a process.
#[derive(Debug, Default)]
pub struct GroupRegistry(Mutex<BTreeMap<String, Arc<KnownGroups>>>);

impl GroupRegistry {
    /// The known groups of a pipeline, which all its generations share.
    pub fn of_pipeline(&self, pipeline: &str) -> Arc<KnownGroups> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(pipeline.to_owned()).or_default().clone()
    }
}

/// The fingerprints of the committed dead letters of a pipeline.
#[derive(Debug, Default)]
pub struct KnownGroups(Mutex<HashSet<String>>);

impl KnownGroups {
    /// The number of groups. It only grows.
    pub fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Adds the groups of a transaction. Returns those that are new, with their fingerprints.
    pub fn add<'f>(&self, failures: &'f Failures) -> Vec<(&'f str, &'f Group)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |(fingerprint, _): &(&str, &Group)| {
            known.len() < MOST_KNOWN && !known.contains(*fingerprint) && known.insert((*fingerprint).to_owned())
        };
        failures.groups().filter(is_new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use mapper_core::record::Batch;
    use mapper_core::verdict::{Failure, FailureKind};

    fn failures(fingerprints: &[&str]) -> Failures {
        let mut batch = Batch::new("visits");
        batch.push((0, 0), 0, None, None, std::iter::empty());
        let failure = Failure::new(FailureKind::Rejected, "no");
        let mut failures = Failures::default();
        for fingerprint in fingerprints {
            failures.note(fingerprint, batch.record(0), &failure, DateTime::UNIX_EPOCH);
        }
        failures
    }

    fn add(known: &KnownGroups, fingerprints: &[&str]) -> Vec<String> {
        let mut new: Vec<String> = known.add(&failures(fingerprints)).iter().map(|(of, _)| (*of).to_owned()).collect();
        new.sort();
        new
    }

    #[test]
    fn group_is_new_once_for_each_pipeline_and_all_its_generations() {
        let registry = GroupRegistry::default();
        assert_eq!(add(&registry.of_pipeline("p"), &["a", "b", "a"]), ["a", "b"]);
        assert_eq!(add(&registry.of_pipeline("p"), &["c", "b"]), ["c"]);
        assert_eq!(add(&registry.of_pipeline("q"), &["a"]), ["a"]);
        assert_eq!((registry.of_pipeline("p").count(), registry.of_pipeline("q").count()), (3, 1));
    }

    #[test]
    fn known_groups_are_bounded() {
        let known = KnownGroups::default();
        let fingerprints: Vec<String> = (0..MOST_KNOWN + 10).map(|number| number.to_string()).collect();
        for fingerprint in &fingerprints {
            add(&known, &[fingerprint]);
        }
        assert_eq!(known.count(), MOST_KNOWN as u64);
        assert!(add(&known, &["more", "0"]).is_empty());
    }
}
