//! Reduces a visit to its id, its time in epoch seconds and its page.

pub mod fromisoformat;
pub mod reduce;

use mapper_sdk::{Record, mapper};
use reduce::{Reduced, Refused, reduce};

mapper!(reduce_visit);

/// The mapper: from a record with a visit to the reduced visit under the same key.
///
/// # Errors
/// When the value is no visit, or its time is none.
pub fn reduce_visit<'a>(record: &Record<'a>) -> Result<Reduced<'a>, Refused> {
    reduce(record.value.ok_or(Refused::Tombstone)?)
}
