//! `dlq cases`: test cases from the records that failed.

use std::collections::HashSet;
use std::ops::ControlFlow;

use mapper_author::records;
use mapper_core::record::{Batch, NO_TIMESTAMP};
use mapper_core::shutdown::Halt;
use mapper_terminal::output::{self, DataWriter};
use serde_json::{Map, Value};

use super::letters;
use super::states::Access;
use crate::config::LetterFilter;

const DEFAULT_LIMIT: u64 = 20;

/// Prints a case for each selected letter whose record is complete. Equal records make one case.
///
/// # Errors
/// If Kafka refuses a read, nothing is selected, or stdout can't be written.
pub(super) fn print(access: &Access, filter: &LetterFilter, limit: Option<u64>) -> Result<(), Halt> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let mut out = DataWriter::stdout();
    let (mut seen, mut incomplete) = (HashSet::new(), 0);
    letters::select(access, filter, |letter, _| {
        let input = letter.input().ok().filter(|_| letter.is_complete());
        let Some(input) = input else {
            incomplete += 1;
            return Ok(ControlFlow::Continue(()));
        };
        if !seen.insert((input.key.clone(), input.value.clone())) {
            return Ok(ControlFlow::Continue(()));
        }
        let source = letter.source_or_self();
        let mut batch = Batch::new(source.topic);
        let headers = input.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
        let timestamp = input.timestamp_ms.unwrap_or(NO_TIMESTAMP);
        let at = (source.partition, source.offset);
        batch.push(at, timestamp, input.key.as_deref(), input.value.as_deref(), headers);
        let mut case = Map::new();
        case.insert("name".to_owned(), format!("{} {source}", letter.fingerprint).into());
        case.insert("input".to_owned(), records::record_to_json(batch.record(0)).into());
        case.insert("succeeds".to_owned(), Value::Bool(true));
        out.json(&case).map_err(|error| Halt::internal(anyhow::Error::from(error)))?;
        let is_done = seen.len() >= limit || output::stdout_is_closed();
        Ok(if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    out.flush().map_err(|error| Halt::internal(anyhow::Error::from(error)))?;
    if incomplete > 0 {
        output::eprint_line(format!("left out {incomplete} letters, because parts of their records were cut"));
    }
    if seen.is_empty() && incomplete == 0 { Err(letters::nothing(access, filter)) } else { Ok(()) }
}
