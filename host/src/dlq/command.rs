//! Prints what the operations on dead letters return.

use std::ops::ControlFlow;

use mapper_core::shutdown::Halt;
use mapper_dead_letters::report;
use mapper_terminal::output::{self, DataWriter, Line};

use super::states::{Access, who};
use super::{cases, discard, groups, letters, mark, text};
use crate::config::{GroupMark, LetterFilter};

/// `dlq groups`.
///
/// # Errors
/// If Kafka refuses a read.
pub(super) fn groups(access: &Access, filter: &LetterFilter, is_json: bool) -> Result<(), Halt> {
    let (found, hidden) = groups::find(access, filter)?;
    if is_json {
        output::print_json(&found);
    } else {
        text::groups(&found, hidden).into_iter().for_each(output::print_line);
    }
    Ok(())
}

/// `dlq list`: one letter a line.
///
/// # Errors
/// If Kafka refuses a read.
pub(super) fn list(access: &Access, filter: &LetterFilter, limit: Option<u64>, is_json: bool) -> Result<(), Halt> {
    let mut listed = 0;
    let columns = output::stdout_columns();
    letters::select(access, filter, |letter, is_open| {
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

/// `dlq show`: a group with samples, or one letter.
///
/// # Errors
/// If Kafka refuses a read, or nothing is selected.
pub(super) fn show(access: &Access, filter: &LetterFilter, is_json: bool) -> Result<(), Halt> {
    if filter.selection.position.is_some() {
        show_letters(access, filter, is_json)
    } else {
        show_group(access, filter, is_json)
    }
}

fn show_letters(access: &Access, filter: &LetterFilter, is_json: bool) -> Result<(), Halt> {
    let found = letters::find_at(access, filter)?;
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
    let found = letters::find_group(access, filter)?;
    if is_json {
        output::print_json(&found);
    } else {
        text::group(&found.group, &found.letters).into_iter().for_each(output::print_line);
    }
    Ok(())
}

/// `dlq cases`: one case a line.
///
/// # Errors
/// If Kafka refuses a read, nothing is selected, or stdout can't be written.
pub(super) fn cases(access: &Access, filter: &LetterFilter, limit: Option<u64>) -> Result<(), Halt> {
    let failed = |error: std::io::Error| Halt::internal(anyhow::Error::from(error));
    let mut out = DataWriter::stdout();
    let incomplete = cases::find(access, filter, limit, |case| {
        out.json(case).map_err(failed)?;
        Ok(if output::stdout_is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    out.flush().map_err(failed)?;
    if incomplete > 0 {
        output::eprint_line(format!("left out {incomplete} letters, because parts of their records were cut"));
    }
    Ok(())
}

/// `dlq ack`, `resolve`, `mute` and `reopen`.
///
/// # Errors
/// If there is no such group or several, or the state can't be written.
pub(super) fn mark(access: &Access, group: &str, mark: &GroupMark, reason: &str) -> Result<(), Halt> {
    let recorded = mark::mark(access, group, mark, (reason, who()))?;
    let (fingerprint, mark) = (&recorded.fingerprint, &recorded.decision.mark);
    let until = recorded.decision.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    output::print_line(format!("{mark} group {fingerprint}{until} ({}, {} letters)", recorded.kind, recorded.count));
    Ok(())
}

/// `dlq discard`.
///
/// # Errors
/// If nothing is selected, or a state can't be written.
pub(super) fn discard(access: &Access, filter: &LetterFilter, reason: &str) -> Result<(), Halt> {
    let discarded = discard::discard(access, filter, reason, &who())?;
    output::print_line(format!("discarded {discarded} letters of {}: {reason}", access.dead_letters));
    Ok(())
}
