//! A part of the list of letters.

use std::ops::ControlFlow;

use mapper_api::dead_letters::LetterPage;
use mapper_core::shutdown::Halt;
use mapper_dead_letters::report;
use mapper_dead_letters::selection::Position;

use super::error::LetterError;
use super::letters;
use super::states::Access;
use crate::config::LetterFilter;

/// The most bytes of records in a page, apart from the first one.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// The selected letters after a position, in the order of partition and offset.
///
/// # Errors
/// If Kafka refuses a read, or the position is in another topic.
pub(crate) fn read(
    access: &Access,
    filter: &LetterFilter,
    after: Option<&Position>,
    limit: usize,
) -> Result<LetterPage, Halt> {
    check_after(after, &access.dead_letters)?;
    let in_state = letters::groups_in_state(access, filter)?;
    let mut ranges = access.letter_ranges()?;
    ranges.sort_unstable();
    let (mut page, mut bytes) = (LetterPage::default(), 0);
    for (partition, first, end) in ranges {
        let first = match after {
            Some(after) if partition < after.partition => continue,
            Some(after) if partition == after.partition => first.max(after.offset.saturating_add(1)),
            _ => first,
        };
        if first >= end {
            continue;
        }
        access.scan_ranges(&[(partition, first, end)], |letter, is_open| {
            if letters::is_selected(filter, in_state.as_ref(), letter, is_open) {
                bytes += letter.record().value().map_or(0, <[u8]>::len);
                let shown = report::letter(letter, is_open);
                if page.letters.len() + 1 >= limit || bytes >= MAX_BYTES {
                    page.next = Some(shown.position.clone());
                }
                page.letters.push(shown);
            }
            Ok(if page.next.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if page.next.is_some() {
            break;
        }
    }
    Ok(page)
}

/// # Errors
/// If the position is in another topic.
pub(super) fn check_after(after: Option<&Position>, topic: &str) -> Result<(), Halt> {
    let Some(after) = after.filter(|after| after.topic != topic) else { return Ok(()) };
    let why = format!("parameter after: \"{after}\" is not allowed: give a position in the topic '{topic}'");
    Err(LetterError::Invalid(why).into())
}
