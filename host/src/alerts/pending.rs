//! The groups of the next post, and when to send it. It has no I/O and no clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mapper_api::alerts::{AlertGroup, AlertState};

/// How long the first group waits for others.
const COLLECT: Duration = Duration::from_secs(1);
/// At most one post has a group as a new one within this time.
const QUIET: Duration = Duration::from_secs(3600);
/// The maximum number of groups in a post.
pub(super) const MOST_GROUPS: usize = 100;
/// The maximum number of groups whose last post is known.
const MOST_KNOWN: usize = 4096;
/// The waits after a failed post: doubled from the first to the last.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// The pipeline and the fingerprint of a group.
type Key = (String, String);

/// What became of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It is in the next post.
    Pending,
    /// The next post has it already, or a post of the last hour had it.
    Repeated,
    /// The next post is full.
    Dropped,
}

/// The groups of the next post.
#[derive(Debug, Default)]
pub(super) struct Pending {
    groups: Vec<AlertGroup>,
    /// When to send the next post.
    due: Option<Instant>,
    retry: Option<Duration>,
    posted: HashMap<Key, Instant>,
}

impl Pending {
    /// Adds a group.
    pub(super) fn add(&mut self, group: AlertGroup, now: Instant) -> Added {
        self.posted.retain(|_, posted| now.saturating_duration_since(*posted) < QUIET);
        let is_same = |other: &AlertGroup| key(other) == key(&group) && other.state == group.state;
        // A regression comes once for each decision of a person.
        let is_quiet = group.state == AlertState::New && self.posted.contains_key(&key(&group));
        if is_quiet || self.groups.iter().any(is_same) {
            return Added::Repeated;
        }
        if self.groups.len() >= MOST_GROUPS || self.posted.len() >= MOST_KNOWN {
            return Added::Dropped;
        }
        self.groups.push(group);
        self.due.get_or_insert(now + COLLECT);
        Added::Pending
    }

    /// The groups.
    pub(super) fn groups(&self) -> &[AlertGroup] {
        &self.groups
    }

    /// The time until the next post; `None` without groups.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }

    /// The receiver accepted the post.
    pub(super) fn accepted(&mut self, now: Instant) {
        self.posted.extend(self.groups.drain(..).map(|group| (key(&group), now)));
        (self.due, self.retry) = (None, None);
    }

    /// The post failed, and can succeed later. Returns the time until the next attempt.
    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        let wait = self.retry.map_or(FIRST_RETRY, |wait| (wait * 2).min(LAST_RETRY));
        (self.due, self.retry) = (Some(now + wait), Some(wait));
        wait
    }

    /// The receiver rejected the post for good, or there is no time for another attempt. Returns the number of dropped groups.
    pub(super) fn dropped(&mut self) -> usize {
        (self.due, self.retry) = (None, None);
        self.groups.drain(..).count()
    }
}

fn key(group: &AlertGroup) -> Key {
    (group.pipeline.clone(), group.fingerprint.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::tests::group;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn groups_of_a_second_go_into_one_post() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        assert_eq!(pending.wait(start), None);
        assert_eq!(pending.add(group("p", "a"), start), Added::Pending);
        assert_eq!(pending.add(group("p", "b"), start + SECOND / 2), Added::Pending);
        assert_eq!(pending.add(group("p", "a"), start + SECOND / 2), Added::Repeated);
        assert_eq!(pending.add(group("q", "a"), start + SECOND / 2), Added::Pending);
        assert_eq!(pending.wait(start + SECOND / 2), Some(SECOND / 2));
        assert_eq!(pending.groups().len(), 3);
        pending.accepted(start + SECOND);
        assert_eq!((pending.groups().len(), pending.wait(start + SECOND)), (0, None));
    }

    #[test]
    fn group_is_posted_at_most_once_an_hour() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.add(group("p", "a"), start);
        pending.accepted(start + SECOND);
        assert_eq!(pending.add(group("p", "a"), start + QUIET), Added::Repeated);
        assert_eq!(pending.add(group("p", "a"), start + QUIET + SECOND), Added::Pending);
    }

    #[test]
    fn regression_of_a_group_is_posted_although_the_group_was_posted_before() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.add(group("p", "a"), start);
        let regressed = || AlertGroup { state: AlertState::Regressed, ..group("p", "a") };
        assert_eq!(pending.add(regressed(), start), Added::Pending);
        assert_eq!((pending.add(regressed(), start), pending.groups().len()), (Added::Repeated, 2));
        pending.accepted(start + SECOND);
        assert_eq!(pending.add(regressed(), start + SECOND), Added::Pending);
        assert_eq!(pending.add(group("p", "a"), start + SECOND), Added::Repeated);
    }

    #[test]
    fn failed_post_is_repeated_at_doubled_intervals_with_the_groups_that_came_since() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.add(group("p", "a"), start);
        let waits: Vec<u64> = (0..8).map(|_| pending.failed(start).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        pending.add(group("p", "b"), start);
        assert_eq!((pending.groups().len(), pending.wait(start)), (2, Some(60 * SECOND)));
        pending.accepted(start);
        pending.add(group("p", "c"), start);
        assert_eq!(pending.failed(start), SECOND);
        assert_eq!((pending.dropped(), pending.wait(start)), (1, None));
        // It was not posted.
        assert_eq!(pending.add(group("p", "c"), start), Added::Pending);
    }

    #[test]
    fn groups_of_a_post_are_bounded() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let added =
            (0..MOST_GROUPS + 20).filter(|number| pending.add(group("p", &number.to_string()), now) == Added::Pending);
        assert_eq!(added.count(), MOST_GROUPS);
        assert_eq!(pending.add(group("p", "more"), now), Added::Dropped);
    }
}
