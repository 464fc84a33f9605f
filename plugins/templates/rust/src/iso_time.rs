//! Times in ISO 8601.

use chrono::{DateTime, NaiveDateTime};

/// The seconds since 1970 of a time; one without an offset is UTC. `None` when the text is no time.
pub fn epoch_seconds(text: &str) -> Option<i64> {
    let with_offset = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp());
    let naive = || {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .map(|time| time.and_utc().timestamp())
    };
    with_offset.or_else(|_| naive()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_epoch_seconds() {
        for text in [
            "2023-11-01T00:00:00+00:00",
            "2023-11-01T02:00:00+02:00",
            "2023-11-01T00:00:00Z",
            "2023-11-01T00:00:00.5",
        ] {
            assert_eq!(epoch_seconds(text), Some(1698796800), "{text}");
        }
        assert_eq!(epoch_seconds("yesterday"), None);
    }
}
