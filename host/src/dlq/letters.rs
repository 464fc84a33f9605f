//! `dlq list` and `dlq show`.

use std::collections::HashSet;
use std::ops::ControlFlow;

use mapper_api::dead_letters::{Letter, LetterGroup};
use mapper_core::dead_letter::DeadLetter;
use mapper_core::shutdown::{Cause, Halt};
use mapper_dead_letters::report;
use mapper_terminal::output::{self, Line};
use serde::Serialize;

use super::states::{Access, Scanned};
use super::{groups, text};
use crate::config::{LetterFilter, StateFilter};

/// The number of letters of a group that `dlq show` prints.
const SAMPLES: usize = 3;

/// A group with some of its letters.
#[derive(Serialize)]
struct ShownGroup {
    #[serde(flatten)]
    group: LetterGroup,
    letters: Vec<Letter>,
}

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
        let is_meant =
            filter.state.includes(is_open) && in_state.is_none_or(|groups| groups.contains(&*letter.fingerprint));
        if is_meant && filter.selection.contains(letter) {
            visit(letter, is_open)
        } else {
            Ok(ControlFlow::Continue(()))
        }
    })
}

/// Prints one letter a line.
///
/// # Errors
/// If Kafka refuses a read.
pub(super) fn list(access: &Access, filter: &LetterFilter, limit: Option<u64>, is_json: bool) -> Result<(), Halt> {
    let mut listed = 0;
    let columns = output::stdout_columns();
    select(access, filter, |letter, is_open| {
        let shown = report::letter(letter, is_open);
        if is_json {
            output::print_line(Line::default().text(serde_json::to_string(&shown).expect("a letter has string keys")));
        } else {
            output::print_line(text::letter_line(&shown, columns));
        }
        listed += 1;
        let is_done = limit.is_some_and(|limit| listed >= limit) || output::stdout_is_closed();
        Ok(if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if listed == 0 {
        output::eprint_line("no dead letter is selected");
    }
    Ok(())
}

/// Prints a group with samples, or one letter.
///
/// # Errors
/// If Kafka refuses a read, or nothing is selected.
pub(super) fn show(access: &Access, filter: &LetterFilter, is_json: bool) -> Result<(), Halt> {
    if filter.selection.position.is_some() {
        show_letter(access, filter, is_json)
    } else {
        show_group(access, filter, is_json)
    }
}

fn show_letter(access: &Access, filter: &LetterFilter, is_json: bool) -> Result<(), Halt> {
    // A position names a letter, whatever was done about it.
    let filter = LetterFilter { state: StateFilter::All, ..filter.clone() };
    let mut found: Vec<Letter> = Vec::new();
    select(access, &filter, |letter, is_open| {
        found.push(report::letter(letter, is_open));
        Ok(ControlFlow::Continue(()))
    })?;
    if found.is_empty() {
        return Err(nothing(access, &filter));
    }
    if is_json {
        output::print_json(&found);
        return Ok(());
    }
    for (index, letter) in found.iter().enumerate() {
        if index > 0 {
            output::print_line("");
        }
        text::letter(letter).into_iter().for_each(output::print_line);
    }
    Ok(())
}

fn show_group(access: &Access, filter: &LetterFilter, is_json: bool) -> Result<(), Halt> {
    let (group, _) = groups::read_one(access, filter)?;
    let mut letters = Vec::new();
    select(access, filter, |letter, is_open| {
        letters.push(report::letter(letter, is_open));
        Ok(if letters.len() < SAMPLES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    if is_json {
        output::print_json(&ShownGroup { group, letters });
    } else {
        text::group(&group, &letters).into_iter().for_each(output::print_line);
    }
    Ok(())
}

/// The error if a command needs a letter and finds none.
pub(super) fn nothing(access: &Access, filter: &LetterFilter) -> Halt {
    let hint = match filter.state {
        StateFilter::Open => "; letters about which something was done are shown with --state all",
        _ => "",
    };
    Halt::new(
        Cause::Internal,
        anyhow::anyhow!(
            "no dead letter of '{}' is selected. mapper-host dlq groups lists the groups{hint}",
            access.dead_letters
        ),
    )
}
