//! Gets what a redrive does: the terminal, or a job of the admin API.

use std::collections::BTreeMap;
use std::time::Duration;

use mapper_api::redrives::{LeftOutLetters, RedriveProgress};

/// New groups of failures: fingerprint and failure.
pub(crate) type NewGroups = BTreeMap<String, String>;

pub(crate) trait RedriveReporter {
    /// No other redrive of the topic runs, and none can begin.
    fn claimed(&mut self) {}

    /// The selected letters are counted.
    fn started(&mut self, progress: &RedriveProgress);

    /// Instead of a start: there is no letter to send to its input topic.
    fn nothing_selected(&mut self);

    /// A transaction was committed.
    fn committed(&mut self, progress: &RedriveProgress, new_groups: &NewGroups);

    /// Whether the next batch may begin.
    fn may_continue(&mut self, progress: &RedriveProgress, new_groups: &NewGroups) -> bool;

    /// The redrive has ended after a start, perhaps by an error.
    fn ended(&mut self, summary: &RedriveSummary<'_>);
}

/// What a redrive has done.
pub(crate) struct RedriveSummary<'a> {
    pub(crate) progress: RedriveProgress,
    pub(crate) new_groups: &'a NewGroups,
    pub(crate) left_out: LeftOutLetters,
    pub(crate) elapsed: Duration,
    /// Letters are left that it has not taken.
    pub(crate) is_stopped: bool,
}
