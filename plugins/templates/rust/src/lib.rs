//! Reduces a visit to its id, its time in epoch seconds and its page.

mod iso_time;

use std::borrow::Cow;

use mapper_sdk::{Json, Record, mapper};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

mapper!(reduce_visit);

#[derive(Deserialize)]
struct Visit<'a> {
    #[serde(borrow)]
    visit_id: &'a RawValue,
    #[serde(borrow)]
    event_time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    page: &'a RawValue,
}

/// What is left of a visit.
#[derive(Serialize)]
pub struct Reduced<'a> {
    visit_id: &'a RawValue,
    event_time: i64,
    page: &'a RawValue,
}

/// Why a record can't be mapped: the text becomes the `error_message` of its dead letter.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("not a visit: {0}")]
    NotAVisit(#[from] serde_json::Error),
    #[error("the visit has no event_time")]
    NoTime,
    #[error("event_time is not a time in ISO 8601: {0:?}")]
    NotATime(String),
}

/// Called for each record; what it returns is written to the output topic, under the key of the record.
pub fn reduce_visit<'a>(record: &Record<'a>) -> Result<Option<Json<Reduced<'a>>>, Refused> {
    // A tombstone, a record without a value, is skipped.
    record
        .value
        .map(|value| reduce(value).map(Json))
        .transpose()
}

fn reduce(value: &[u8]) -> Result<Reduced<'_>, Refused> {
    let visit: Visit = serde_json::from_slice(value)?;
    let time = visit.event_time.ok_or(Refused::NoTime)?;
    let event_time =
        iso_time::epoch_seconds(&time).ok_or_else(|| Refused::NotATime(time.into_owned()))?;
    Ok(Reduced {
        visit_id: visit.visit_id,
        event_time,
        page: visit.page,
    })
}
