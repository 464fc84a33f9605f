//! The groups of letters.

use std::collections::HashSet;
use std::ops::ControlFlow;

use chrono::Utc;

use mapper_api::dead_letters::{LetterCounts, LetterGroup, LetterGroupState, LetterGroups};
use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::Positions;
use mapper_core::shutdown::Halt;
use mapper_dead_letters::report::GroupContext;
use mapper_dead_letters::{GroupStats, GroupTable, Grouped, Selection, report};

use super::error::LetterError;
use super::letters;
use super::states::{Access, Scanned};
use crate::config::{LetterFilter, StateFilter};

/// The groups that a filter shows, and how many it hides because they need no attention.
///
/// # Errors
/// If Kafka refuses a read.
pub(crate) fn find(access: &Access, filter: &LetterFilter) -> Result<(LetterGroups, usize), Halt> {
    let mut found = read(access, &filter.selection, filter.state)?;
    let hidden = hide(&mut found, filter.state);
    Ok((found, hidden))
}

/// Removes the groups that a filter does not show. Returns how many of them need no attention.
pub(super) fn hide(found: &mut LetterGroups, state: StateFilter) -> usize {
    match state {
        StateFilter::Open => hide_decided(found),
        StateFilter::Group(state) => {
            found.groups.retain(|group| group.state == state);
            0
        }
        StateFilter::Closed | StateFilter::All => 0,
    }
}

/// Removes the groups that need no attention. Returns how many.
fn hide_decided(found: &mut LetterGroups) -> usize {
    let before = found.groups.len();
    found.groups.retain(|group| !matches!(group.state, LetterGroupState::Muted | LetterGroupState::Resolved));
    before - found.groups.len()
}

/// Groups the selected letters.
///
/// # Errors
/// If Kafka refuses a read.
pub(super) fn read(access: &Access, selection: &Selection, state: StateFilter) -> Result<LetterGroups, Halt> {
    read_with_ends(access, selection, state, |_, _| ()).map(|(groups, _)| groups)
}

/// Groups the selected letters, and calls `visit` for each, and whether it is open. Also returns the end offsets of the dead-letter topic.
///
/// # Errors
/// If Kafka refuses a read.
fn read_with_ends(
    access: &Access,
    selection: &Selection,
    state: StateFilter,
    mut visit: impl FnMut(&DeadLetter<'_>, bool),
) -> Result<(LetterGroups, Positions), Halt> {
    let now = Utc::now();
    let mut table = GroupTable::new(now);
    let mut filtered_out = 0;
    let scanned = access.scan(|letter, is_open| {
        if state.includes(is_open) && selection.contains(letter) {
            table.add(letter, |fingerprint| access.table.group(fingerprint));
            visit(letter, is_open);
        } else if is_open {
            filtered_out += 1;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let letters = in_state_of(state, scanned.open, scanned.closed);
    let Grouped { groups, names, window, others } = table.finish();
    let context = GroupContext { topic: &access.dead_letters, names: &names, window, letters, now };
    let group = |(fingerprint, stats): &(String, GroupStats)| {
        report::group(fingerprint, stats, access.table.group(fingerprint), &context)
    };
    let groups: Vec<LetterGroup> = groups.iter().map(group).collect();
    let Scanned { open, closed, foreign, removed, ends } = scanned;
    let letters = LetterCounts {
        open,
        closed,
        filtered_out,
        in_other_groups: others,
        foreign,
        removed,
        foreign_states: access.foreign_states,
    };
    let (topic, state_topic) = (access.dead_letters.clone(), access.states.clone());
    Ok((LetterGroups { topic, state_topic, groups, letters, hidden_groups: None, as_of: None }, ends))
}

/// The number of letters that a filter is about, apart from their groups.
pub(super) fn in_state_of(state: StateFilter, open: u64, closed: u64) -> u64 {
    let count_if = |is_open: bool, count: u64| if state.includes(is_open) { count } else { 0 };
    count_if(true, open) + count_if(false, closed)
}

/// The only group of the selected letters, and the end offsets of the dead-letter topic. Calls `visit` for each letter.
///
/// # Errors
/// If Kafka refuses a read, or there is no group or several.
pub(super) fn read_one(
    access: &Access,
    filter: &LetterFilter,
    visit: impl FnMut(&DeadLetter<'_>, bool),
) -> Result<(LetterGroup, Positions), Halt> {
    let (LetterGroups { groups, .. }, ends) = read_with_ends(access, &filter.selection, filter.state, visit)?;
    let group = only(groups, filter.state)?;
    group.map(|group| (group, ends)).ok_or_else(|| letters::nothing(&access.dead_letters, filter))
}

/// The only group, if it is in the state.
///
/// # Errors
/// If there are several groups.
pub(super) fn only(mut groups: Vec<LetterGroup>, state: StateFilter) -> Result<Option<LetterGroup>, Halt> {
    if groups.len() > 1 {
        let names: Vec<_> = groups.iter().map(|group| group.fingerprint.as_str()).collect();
        let why = format!("several groups begin so: {}. Give more digits", names.join(", "));
        return Err(LetterError::Invalid(why).into());
    }
    if let StateFilter::Group(state) = state {
        groups.retain(|group| group.state == state);
    }
    Ok(groups.pop())
}

/// The fingerprints of the groups in a state.
///
/// # Errors
/// If Kafka refuses a read.
pub(super) fn in_state(access: &Access, state: LetterGroupState) -> Result<HashSet<String>, Halt> {
    let found = read(access, &Selection::default(), StateFilter::Open)?;
    let in_state = found.groups.into_iter().filter(|group| group.state == state);
    Ok(in_state.map(|group| group.fingerprint).collect())
}
