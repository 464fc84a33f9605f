//! Decisions about a group.

use chrono::SecondsFormat;

use mapper_api::dead_letters::{LetterGroup, RecordedDecision};
use mapper_core::shutdown::Halt;
use mapper_dead_letters::state::{Action, GroupRecord, Mark, StateKey};
use mapper_dead_letters::{Selection, report};

use super::groups;
use super::states::{Access, now};
use crate::config::{GroupMark, LetterFilter, StateFilter};

/// Records a decision about the group whose fingerprint begins so.
///
/// # Errors
/// If there is no such group or several, or the state can't be written.
pub(crate) fn mark(
    access: &Access,
    group: &str,
    mark: &GroupMark,
    (reason, by): (&str, String),
) -> Result<RecordedDecision, Halt> {
    let filter = LetterFilter {
        selection: Selection { group: Some(group.to_owned()), ..Selection::default() },
        state: StateFilter::All,
        ..LetterFilter::default()
    };
    let (found, ends) = groups::read_one(access, &filter, |_, _| ())?;
    let fingerprint = &found.fingerprint;
    let (mark, until, version) = match mark {
        GroupMark::Acknowledge => (Mark::Acknowledged, None, None),
        GroupMark::Resolve(version) => (Mark::Resolved, None, version.clone()),
        GroupMark::Mute(until) => (Mark::Muted, *until, None),
        GroupMark::Reopen => (Mark::Reopened, None, None),
    };
    let until = until.map(|until| until.to_rfc3339_opts(SecondsFormat::Secs, true));
    let action = Action { mark, at: now(), by, reason: reason.to_owned(), until, version };
    let mut record = GroupRecord::new(action, access.table.group(fingerprint));
    if mark == Mark::Resolved {
        record.ends = ends;
        record.failed_versions = found.versions.iter().map(|of| of.version.digest.clone()).collect();
    }
    let writer = access.writer()?;
    writer.write(&StateKey::Group(fingerprint.clone()), &record)?;
    writer.finish()?;
    let LetterGroup { kind, count, fingerprint, .. } = found;
    Ok(RecordedDecision { fingerprint, kind, count, decision: report::decision(&record.last) })
}
