//! `dlq ack`, `resolve`, `mute` and `reopen`: decisions about a group.

use chrono::SecondsFormat;

use mapper_api::dead_letters::LetterGroup;
use mapper_core::shutdown::Halt;
use mapper_dead_letters::Selection;
use mapper_dead_letters::state::{Action, GroupRecord, Mark, StateKey};
use mapper_terminal::output;

use super::groups;
use super::states::{Access, now, who};
use crate::config::{GroupMark, LetterFilter, StateFilter};

/// Records a decision about the group whose fingerprint begins so.
///
/// # Errors
/// If there is no such group or several, or the state can't be written.
pub(super) fn mark(access: &Access, group: &str, mark: &GroupMark, reason: &str) -> Result<(), Halt> {
    let filter = LetterFilter {
        selection: Selection { group: Some(group.to_owned()), ..Selection::default() },
        state: StateFilter::All,
    };
    let (found, ends) = groups::read_one(access, &filter)?;
    let fingerprint = &found.fingerprint;
    let (mark, until, version) = match mark {
        GroupMark::Acknowledge => (Mark::Acknowledged, None, None),
        GroupMark::Resolve(version) => (Mark::Resolved, None, version.clone()),
        GroupMark::Mute(until) => (Mark::Muted, *until, None),
        GroupMark::Reopen => (Mark::Reopened, None, None),
    };
    let until = until.map(|until| until.to_rfc3339_opts(SecondsFormat::Secs, true));
    let shown_until = until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    let action = Action { mark, at: now(), by: who(), reason: reason.to_owned(), until, version };
    let mut record = GroupRecord::new(action, access.table.group(fingerprint));
    if mark == Mark::Resolved {
        record.ends = ends;
        record.failed_versions = found.versions.iter().map(|of| of.version.digest.clone()).collect();
    }
    let writer = access.writer()?;
    writer.write(&StateKey::Group(fingerprint.clone()), &record)?;
    writer.finish()?;
    let LetterGroup { kind, count, .. } = &found;
    output::print_line(format!("{} group {fingerprint}{shown_until} ({kind}, {count} letters)", mark.name()));
    Ok(())
}
