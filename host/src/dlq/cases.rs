//! Test cases from the records that failed.

use std::collections::HashSet;
use std::ops::ControlFlow;

use mapper_author::records;
use mapper_core::record::{Batch, NO_TIMESTAMP};
use mapper_core::shutdown::Halt;
use serde_json::{Map, Value};

use super::letters;
use super::states::Access;
use crate::config::LetterFilter;

const DEFAULT_LIMIT: u64 = 20;

/// Calls `visit` with a case for each selected letter whose record is complete. Equal records make one case. Returns how many letters were left out,
/// because parts of their records were cut.
///
/// # Errors
/// If Kafka refuses a read, nothing is selected, or what `visit` returns.
pub(crate) fn find(
    access: &Access,
    filter: &LetterFilter,
    limit: Option<u64>,
    mut visit: impl FnMut(&Map<String, Value>) -> Result<ControlFlow<()>, Halt>,
) -> Result<u64, Halt> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT) as usize;
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
        let visited = visit(&case)?;
        Ok(if seen.len() >= limit { ControlFlow::Break(()) } else { visited })
    })?;
    if seen.is_empty() && incomplete == 0 {
        Err(letters::nothing(&access.dead_letters, filter))
    } else {
        Ok(incomplete)
    }
}
