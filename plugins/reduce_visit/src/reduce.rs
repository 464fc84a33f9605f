//! The mapping itself: from the JSON of a visit to the reduced visit.
//!
//! It gives the verdicts of the job it replaces, which is
//! `{"visit_id": e["visit_id"], "event_time": int(datetime.fromisoformat(e["event_time"]).timestamp()), "page": e["page"]}`:
//! an id or page of any kind passes through, null too; a missing field, or a time that is none, is refused.

use mapper_sdk::json::{self, Object};

use crate::fromisoformat::{self, timestamp};

/// What is left of a visit: `visit_id`, `event_time` in epoch seconds, and `page`.
pub type Reduced<'a> = Object<'a, 3>;

/// Why a record can't be reduced.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It has no value at all.
    #[error("the record has no value (a tombstone)")]
    Tombstone,
    /// Its value is not JSON, or not an object.
    #[error("not a visit: {0}")]
    NotAVisit(#[from] serde_json::Error),
    /// It lacks a field.
    #[error("not a visit: missing field `{0}`")]
    Missing(&'static str),
    /// Its time is null, a number or anything else but text; in Python's words.
    #[error("fromisoformat: argument must be str")]
    TimeIsNotText,
    /// Its time is text, but not in ISO 8601; in Python's words.
    #[error("{0}")]
    NotATime(#[from] fromisoformat::Invalid),
}

/// Reduces a visit.
///
/// # Errors
/// When it is no visit, or its time is none: the first that is wrong in the order of the expression above.
pub fn reduce(value: &[u8]) -> Result<Reduced<'_>, Refused> {
    let [visit_id, event_time, page] = json::fields(value, ["visit_id", "event_time", "page"])?;
    let visit_id = visit_id.ok_or(Refused::Missing("visit_id"))?;
    let event_time = event_time.ok_or(Refused::Missing("event_time"))?;
    let event_time = timestamp(&event_time.as_str()?.ok_or(Refused::TimeIsNotText)?)?;
    let page = page.ok_or(Refused::Missing("page"))?;
    Ok(Object([("visit_id", visit_id.into()), ("event_time", event_time.into()), ("page", page.into())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduced(value: &str) -> String {
        match reduce(value.as_bytes()) {
            Ok(reduced) => reduced.to_string(),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn a_visit_is_reduced_whatever_the_kind_of_its_id_and_page() {
        for (value, expected) in [
            (
                r#"{"visit_id": "1_2", "event_time": "2023-11-01T00:00:00+00:00", "user_id": 7, "page": "home"}"#,
                r#"{"visit_id":"1_2","event_time":1698796800,"page":"home"}"#,
            ),
            (
                r#"{"page":null,"event_time":"2023-11-01 01:00:00","visit_id":null}"#,
                r#"{"visit_id":null,"event_time":1698800400,"page":null}"#,
            ),
            (
                r#" {"visit_id": {"a": [1.50]}, "event_time": "2023-11-01", "page": "\ud800\"\n"} "#,
                r#"{"visit_id":{"a": [1.50]},"event_time":1698796800,"page":"\ud800\"\n"}"#,
            ),
            (
                r#"{"visit_id": 1, "event_time": "2023-11-01T02\u003a00:00\u002b02:00", "page": ""}"#,
                r#"{"visit_id":1,"event_time":1698796800,"page":""}"#,
            ),
        ] {
            assert_eq!(reduced(value), expected);
        }
    }

    #[test]
    fn a_time_that_is_not_text_is_refused_in_the_words_of_python() {
        for time in ["null", "1698796800", "true", "[]", "{}", "1.5e3"] {
            let value = format!(r#"{{"visit_id": "1", "event_time": {time}, "page": "home"}}"#);
            assert_eq!(reduced(&value), "fromisoformat: argument must be str");
        }
        let value = r#"{"visit_id": "1", "event_time": "yesterday", "page": "home"}"#;
        assert_eq!(reduced(value), "Invalid isoformat string: 'yesterday'");
    }

    #[test]
    fn what_is_no_visit_is_refused() {
        for (value, expected) in [
            ("{........", "not a visit: key must be a string at line 1 column 2"),
            ("", "not a visit: EOF while parsing a value at line 1 column 0"),
            (
                "[\"1\", \"2023-11-01\", \"home\"]",
                "not a visit: invalid type: sequence, expected a JSON object at line 1 column 0",
            ),
            (
                "\"{........\"",
                "not a visit: invalid type: string \"{........\", expected a JSON object at line 1 column 11",
            ),
            ("{}", "not a visit: missing field `visit_id`"),
            (r#"{"visit_id": 1, "page": 2}"#, "not a visit: missing field `event_time`"),
            (r#"{"visit_id": 1, "event_time": "2023-11-01"}"#, "not a visit: missing field `page`"),
            (r#"{"visit_id": 1, "event_time": null}"#, "fromisoformat: argument must be str"),
        ] {
            assert_eq!(reduced(value), expected);
        }
        assert!(reduce(b"{\"visit_id\": \"\xff\", \"event_time\": \"2023-11-01\", \"page\": 1}").is_err());
    }
}
