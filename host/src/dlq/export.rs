//! `dlq export`.

use std::ops::ControlFlow;

use mapper_author::records;
use mapper_core::shutdown::Halt;
use mapper_terminal::output::{self, DataWriter};

use super::letters;
use super::states::Access;
use crate::config::LetterFilter;

/// Prints each selected letter as it is in its topic, as a JSON line.
///
/// # Errors
/// If Kafka refuses a read, or stdout can't be written.
pub(super) fn export(access: &Access, filter: &LetterFilter) -> Result<(), Halt> {
    let mut out = DataWriter::stdout();
    letters::select(access, filter, |letter, _| {
        out.json(&records::record_to_json(letter.record()))
            .map_err(|error| Halt::internal(anyhow::Error::from(error)))?;
        Ok(if output::stdout_is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    out.flush().map_err(|error| Halt::internal(anyhow::Error::from(error)))
}
