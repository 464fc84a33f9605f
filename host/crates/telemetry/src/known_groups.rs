//! The groups of failures that this process has seen. A group is new once, also if its pipeline restarts.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::about::About;
use super::alerts::{AlertQueue, GroupAlert};
use super::failures::{Failures, Group};

/// The maximum number of known groups of a pipeline. A plugin can make any number of fingerprints: groups beyond the limit do not count as new.
const MOST_KNOWN: usize = 4096;

/// The known groups of all pipelines of a process.
#[derive(Debug, Default)]
pub struct GroupRegistry {
    pipelines: Mutex<BTreeMap<String, Arc<KnownGroups>>>,
    alerts: Option<AlertQueue>,
}

impl GroupRegistry {
    /// A registry that adds new groups to this queue.
    pub fn new(alerts: Option<AlertQueue>) -> Self {
        Self { pipelines: Mutex::default(), alerts }
    }

    /// The known groups of a pipeline, which all its generations share.
    pub fn of_pipeline(&self, pipeline: &str) -> Arc<KnownGroups> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(KnownGroups::new(pipeline, self.alerts.clone()));
        pipelines.entry(pipeline.to_owned()).or_insert_with(new).clone()
    }
}

/// The fingerprints of the committed dead letters of a pipeline.
#[derive(Debug)]
pub struct KnownGroups {
    pipeline: String,
    known: Mutex<HashSet<String>>,
    alerts: Option<AlertQueue>,
}

impl KnownGroups {
    fn new(pipeline: &str, alerts: Option<AlertQueue>) -> Self {
        Self { pipeline: pipeline.to_owned(), known: Mutex::default(), alerts }
    }

    /// The number of groups. It only grows.
    pub fn count(&self) -> u64 {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Adds the groups of a committed transaction. The new ones go into the queue of alerts.
    pub fn add(&self, failures: &Failures, about: &About) {
        let new = self.add_new(failures);
        let Some(alerts) = self.alerts.as_ref().filter(|_| !new.is_empty()) else { return };
        let (work, plugin) = (about.work(), about.plugin());
        for (fingerprint, group) in new {
            alerts.push(GroupAlert {
                pipeline: self.pipeline.clone(),
                dead_letter_topic: work.dead_letter_topic.clone(),
                plugin: plugin.as_ref().map(|plugin| (&plugin.identity).into()),
                fingerprint: fingerprint.to_owned(),
                group: group.clone(),
            });
        }
    }

    fn add_new<'f>(&self, failures: &'f Failures) -> Vec<(&'f str, &'f Group)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |(fingerprint, _): &(&str, &Group)| {
            known.len() < MOST_KNOWN && !known.contains(*fingerprint) && known.insert((*fingerprint).to_owned())
        };
        failures.groups().filter(is_new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::about::Work;
    use crate::alerts::AlertCounts;
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

    fn about() -> About {
        let about = About::default();
        about.set_work(Work { dead_letter_topic: "letters".to_owned(), ..Work::default() });
        about
    }

    #[test]
    fn group_is_new_once_for_each_pipeline_and_all_its_generations() {
        let (queue, alerts) = AlertQueue::new(Arc::default());
        let registry = GroupRegistry::new(Some(queue));
        let add = |pipeline: &str, fingerprints: &[&str]| {
            registry.of_pipeline(pipeline).add(&failures(fingerprints), &about());
            let added = alerts.try_iter().map(|alert| {
                assert_eq!((&*alert.pipeline, &*alert.dead_letter_topic), (pipeline, "letters"));
                alert.fingerprint
            });
            added.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(add("p", &["a", "b", "a"]), "a b");
        assert_eq!(add("p", &["c", "b"]), "c");
        assert_eq!(add("q", &["a"]), "a");
        assert_eq!((registry.of_pipeline("p").count(), registry.of_pipeline("q").count()), (3, 1));
    }

    #[test]
    fn known_groups_are_bounded() {
        let known = KnownGroups::new("p", None);
        for number in 0..MOST_KNOWN + 10 {
            known.add(&failures(&[&number.to_string()]), &about());
        }
        assert_eq!(known.count(), MOST_KNOWN as u64);
        assert!(known.add_new(&failures(&["more", "0"])).is_empty());
    }

    #[test]
    fn full_queue_of_alerts_drops_and_counts_groups_and_blocks_no_worker() {
        let counts = Arc::<AlertCounts>::default();
        let (queue, alerts) = AlertQueue::new(counts.clone());
        let known = KnownGroups::new("p", Some(queue));
        for number in 0..300 {
            known.add(&failures(&[&number.to_string()]), &about());
        }
        assert_eq!((counts.dropped(), alerts.try_iter().count()), (44, 256));
        drop(alerts);
        known.add(&failures(&["without a receiver"]), &about());
        assert_eq!(counts.dropped(), 45);
    }
}
