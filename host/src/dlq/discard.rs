//! Resolves letters without processing them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mapper_core::shutdown::Halt;
use mapper_dead_letters::selection::Position;
use mapper_dead_letters::state::{Outcome, Resolution, StateKey, VERSION};

use super::letters;
use super::states::{Access, now};
use crate::config::LetterFilter;

/// Returns how many letters it has resolved.
///
/// # Errors
/// If nothing is selected, or a state can't be written.
pub(crate) fn discard(access: &Access, filter: &LetterFilter, reason: &str, by: &str) -> Result<u64, Halt> {
    let writer = access.writer()?;
    let at = now();
    let mut discarded = 0;
    letters::select(access, filter, |letter, is_open| {
        if !is_open {
            return Ok(ControlFlow::Continue(()));
        }
        let source = Position::from(letter.source_or_self());
        let position = letter.position();
        let letters = access.table.resolved_with(&source, [(position.partition, position.offset)]);
        let resolution = Resolution {
            v: VERSION,
            outcome: Outcome::Discarded,
            letters,
            at: at.clone(),
            by: by.to_owned(),
            reason: Some(reason.to_owned()),
            version: None,
            outputs: BTreeMap::new(),
        };
        writer.write(&StateKey::Letter(source), &resolution)?;
        discarded += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    writer.finish()?;
    if discarded == 0 { Err(letters::nothing(&access.dead_letters, filter)) } else { Ok(discarded) }
}
