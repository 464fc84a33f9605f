//! Selects letters.

use std::collections::HashSet;
use std::ops::ControlFlow;

use mapper_api::dead_letters::{Letter, LetterGroupDetails};
use mapper_core::dead_letter::DeadLetter;
use mapper_core::shutdown::Halt;
use mapper_dead_letters::groups::Place;
use mapper_dead_letters::report;
use mapper_dead_letters::selection::Position;

use super::error::LetterError;
use super::groups;
use super::states::{Access, Scanned};
use crate::config::{LetterFilter, StateFilter};

/// The number of letters that are shown of a group.
pub(super) const SAMPLES: usize = 3;

/// The groups in the state of a filter, if it names one.
///
/// # Errors
/// If Kafka refuses a read.
pub(super) fn groups_in_state(access: &Access, filter: &LetterFilter) -> Result<Option<HashSet<String>>, Halt> {
    match filter.state {
        StateFilter::Group(state) => groups::in_state(access, state).map(Some),
        StateFilter::Open | StateFilter::Closed | StateFilter::All => Ok(None),
    }
}

/// Calls `visit` for each selected letter.
///
/// # Errors
/// If Kafka refuses a read, or what `visit` returns.
pub(super) fn select(
    access: &Access,
    filter: &LetterFilter,
    visit: impl FnMut(&DeadLetter<'_>, bool) -> Result<ControlFlow<()>, Halt>,
) -> Result<Scanned, Halt> {
    select_in(access, filter, groups_in_state(access, filter)?.as_ref(), visit)
}

/// The same, with the result of [`groups_in_state`].
///
/// # Errors
/// If Kafka refuses a read, or what `visit` returns.
pub(super) fn select_in(
    access: &Access,
    filter: &LetterFilter,
    in_state: Option<&HashSet<String>>,
    mut visit: impl FnMut(&DeadLetter<'_>, bool) -> Result<ControlFlow<()>, Halt>,
) -> Result<Scanned, Halt> {
    access.scan(|letter, is_open| {
        if is_selected(filter, in_state, letter, is_open) {
            visit(letter, is_open)
        } else {
            Ok(ControlFlow::Continue(()))
        }
    })
}

/// Whether a filter selects a letter. `in_state` is the result of [`groups_in_state`].
pub(super) fn is_selected(
    filter: &LetterFilter,
    in_state: Option<&HashSet<String>>,
    letter: &DeadLetter<'_>,
    is_open: bool,
) -> bool {
    filter.state.includes(is_open)
        && in_state.is_none_or(|groups| groups.contains(&*letter.fingerprint))
        && filter.selection.contains(letter)
}

/// The letter at a position, or the letters of the record at it, whatever was done about them.
///
/// # Errors
/// If Kafka refuses a read, or there is none.
pub(crate) fn find_at(access: &Access, filter: &LetterFilter) -> Result<Vec<Letter>, Halt> {
    let filter = LetterFilter { state: StateFilter::All, ..filter.clone() };
    let mut found: Vec<((i32, i64), Letter)> = Vec::new();
    let mut add = |letter: &DeadLetter<'_>, is_open: bool| {
        if filter.selection.contains(letter) {
            let at = letter.position();
            found.push(((at.partition, at.offset), report::letter(letter, is_open)));
        }
        Ok(ControlFlow::Continue(()))
    };
    match filter.selection.position.as_ref().filter(|position| position.topic == access.dead_letters) {
        // No record of the dead-letter topic is the source of a letter in it, so there is at most this one.
        Some(Position { partition, offset, .. }) => {
            let is_there = |(of, first, end): &(i32, i64, i64)| of == partition && (*first..*end).contains(offset);
            if access.letter_ranges()?.iter().any(is_there) {
                access.scan_ranges(&[(*partition, *offset, *offset + 1)], add)?;
            }
        }
        None => drop(access.scan(&mut add)?),
    }
    found.sort_by_key(|(at, _)| *at);
    let found: Vec<Letter> = found.into_iter().map(|(_, letter)| letter).collect();
    if found.is_empty() { Err(nothing(&access.dead_letters, &filter)) } else { Ok(found) }
}

/// The only group that is selected, with some of its letters.
///
/// # Errors
/// If Kafka refuses a read, or there is no group or several.
pub(crate) fn find_group(access: &Access, filter: &LetterFilter) -> Result<LetterGroupDetails, Halt> {
    let mut first: Vec<(Place, Letter)> = Vec::new();
    let (group, _) = groups::read_one(access, filter, |letter, is_open| {
        let (at, failed_ms) = (letter.position(), letter.failed_at_ms());
        let place = Place { failed_ms, partition: at.partition, offset: at.offset };
        let index = first.partition_point(|(known, _)| *known < place);
        if index < SAMPLES {
            first.insert(index, (place, report::letter(letter, is_open)));
            first.truncate(SAMPLES);
        }
    })?;
    let letters = first.into_iter().map(|(_, letter)| letter).collect();
    Ok(LetterGroupDetails { group, letters, as_of: None })
}

/// The error if a command needs a letter and finds none.
pub(super) fn nothing(topic: &str, filter: &LetterFilter) -> Halt {
    let hint = match filter.state {
        StateFilter::Open => "; letters about which something was done are shown with --state all",
        _ => "",
    };
    LetterError::NothingSelected(format!(
        "no dead letter of '{topic}' is selected. mapper-host dlq groups lists the groups{hint}"
    ))
    .into()
}
