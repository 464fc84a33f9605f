//! Reduces a visit to its id, its time in epoch seconds and its page.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime};
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
    let event_time = epoch_seconds(&visit.event_time.ok_or(Refused::NoTime)?)?;
    Ok(Reduced {
        visit_id: visit.visit_id,
        event_time,
        page: visit.page,
    })
}

/// A time without an offset is UTC.
fn epoch_seconds(time: &str) -> Result<i64, Refused> {
    let with_offset = DateTime::parse_from_rfc3339(time).map(|time| time.timestamp());
    let naive = || {
        NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S%.f")
            .map(|time| time.and_utc().timestamp())
    };
    with_offset
        .or_else(|_| naive())
        .map_err(|_| Refused::NotATime(time.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_epoch_seconds() {
        for (time, seconds) in [
            ("2023-11-01T00:00:00+00:00", 1698796800),
            ("2023-11-01T02:00:00+02:00", 1698796800),
            ("2023-11-01T00:00:00Z", 1698796800),
            ("2023-11-01T00:00:00.5", 1698796800),
        ] {
            assert_eq!(epoch_seconds(time).unwrap(), seconds, "{time}");
        }
        assert_eq!(
            epoch_seconds("yesterday").unwrap_err().to_string(),
            r#"event_time is not a time in ISO 8601: "yesterday""#
        );
    }

    #[test]
    fn a_tombstone_is_skipped() {
        let record = Record {
            value: None,
            ..Record::of_value(b"")
        };
        assert!(reduce_visit(&record).unwrap().is_none());
    }
}
