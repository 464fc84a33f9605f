//! The groups of failures that this process has seen. A group is new once, also if its pipeline restarts.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::about::About;
use super::alerts::{AlertOrigin, AlertQueue, GroupAlert};
use super::failures::{Failures, Group};

/// The maximum number of known groups of a pipeline. A plugin can make any number of fingerprints: groups beyond the limit do not count as new.
const MOST_KNOWN: usize = 4096;
/// The maximum number of alerts that are held back. Further ones are dropped.
const MOST_HELD: usize = 256;

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
        let mut pipelines = lock(&self.pipelines);
        let new = || Arc::new(KnownGroups::new(pipeline, self.alerts.clone()));
        pipelines.entry(pipeline.to_owned()).or_insert_with(new).clone()
    }
}

/// The fingerprints of the committed dead letters of a pipeline.
#[derive(Debug)]
pub struct KnownGroups {
    pipeline: String,
    created: DateTime<Utc>,
    known: Mutex<HashSet<String>>,
    alerts: Option<AlertQueue>,
    /// Alerts that wait until the states of their groups are known; `None` if nothing reads the states.
    held: Mutex<Option<Vec<GroupAlert>>>,
    /// The regressions that were posted: the fingerprint, and when the group was resolved.
    regressions: Mutex<HashSet<(String, String)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KnownGroups {
    fn new(pipeline: &str, alerts: Option<AlertQueue>) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            created: Utc::now(),
            known: Mutex::default(),
            alerts,
            held: Mutex::default(),
            regressions: Mutex::default(),
        }
    }

    /// The start of the first generation of the pipeline in this process.
    pub fn created(&self) -> DateTime<Utc> {
        self.created
    }

    /// Whether groups are posted.
    pub fn has_alerts(&self) -> bool {
        self.alerts.is_some()
    }

    /// The number of groups. It only grows.
    pub fn count(&self) -> u64 {
        lock(&self.known).len() as u64
    }

    /// Adds the groups of a committed transaction. The new ones become alerts.
    pub fn add(&self, failures: &Failures, about: &About) {
        let new = self.add_new(failures);
        if self.alerts.is_none() || new.is_empty() {
            return;
        }
        let origin = self.origin(about);
        let alerts = new.into_iter().map(|(fingerprint, group)| GroupAlert::new(&origin, fingerprint, group));
        match &mut *lock(&self.held) {
            Some(held) => {
                held.extend(alerts);
                self.drop_beyond(held);
            }
            None => alerts.for_each(|alert| self.post(alert)),
        }
    }

    fn drop_beyond(&self, held: &mut Vec<GroupAlert>) {
        if let Some(queue) = self.alerts.as_ref().filter(|_| held.len() > MOST_HELD) {
            queue.count_dropped(held.len() - MOST_HELD);
            held.truncate(MOST_HELD);
        }
    }

    /// The origin of the alerts of the pipeline.
    pub fn origin(&self, about: &About) -> AlertOrigin {
        let plugin = about.plugin().map(|plugin| (&plugin.identity).into());
        AlertOrigin { pipeline: self.pipeline.clone(), dead_letter_topic: about.work().dead_letter_topic, plugin }
    }

    /// Holds new alerts back until [`KnownGroups::take_held`].
    pub fn hold(&self) {
        lock(&self.held).get_or_insert_default();
    }

    /// The alerts that were held back.
    pub fn take_held(&self) -> Vec<GroupAlert> {
        lock(&self.held).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Holds no more alerts back. Returns those that are.
    pub fn release(&self) -> Vec<GroupAlert> {
        lock(&self.held).take().unwrap_or_default()
    }

    /// Adds an alert to the queue.
    pub fn post(&self, alert: GroupAlert) {
        if let Some(queue) = &self.alerts {
            queue.push(alert);
        }
    }

    /// Whether a regression is not known yet. It is known from then on.
    pub fn add_regression(&self, fingerprint: &str, resolved_at: &str) -> bool {
        let mut known = lock(&self.regressions);
        known.len() < MOST_KNOWN && known.insert((fingerprint.to_owned(), resolved_at.to_owned()))
    }

    fn add_new<'f>(&self, failures: &'f Failures) -> Vec<(&'f str, &'f Group)> {
        let mut known = lock(&self.known);
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
                assert_eq!((&*alert.origin.pipeline, &*alert.origin.dead_letter_topic), (pipeline, "letters"));
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

    #[test]
    fn held_alerts_wait_are_bounded_and_end_with_the_hold() {
        let counts = Arc::<AlertCounts>::default();
        let (queue, alerts) = AlertQueue::new(counts.clone());
        let known = KnownGroups::new("p", Some(queue));
        known.hold();
        known.add(&failures(&["a", "b"]), &about());
        assert_eq!((known.take_held().len(), known.take_held().len(), alerts.try_iter().count()), (2, 0, 0));
        for number in 0..MOST_HELD + 3 {
            known.add(&failures(&[&number.to_string()]), &about());
        }
        assert_eq!((known.release().len(), counts.dropped()), (MOST_HELD, 3));
        known.add(&failures(&["c"]), &about());
        assert_eq!((known.take_held().len(), alerts.try_iter().count()), (0, 1));
    }

    #[test]
    fn regression_is_known_once_for_each_resolution() {
        let known = KnownGroups::new("p", None);
        assert!(known.add_regression("a", "10:00") && known.add_regression("a", "11:00"));
        assert!(!known.add_regression("a", "10:00") && known.add_regression("b", "10:00"));
    }
}
