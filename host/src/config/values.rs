//! Parses values and checks their limits. An error lists the allowed values; the caller adds the source of the text.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing_subscriber::EnvFilter;

use super::{Delivery, LogFormat};
use mapper_core::bytes::Bytes;

/// The longest topic name of Kafka (`org.apache.kafka.common.internals.Topic`).
const TOPIC_CHARACTERS: usize = 249;
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A value, or the allowed values.
pub(crate) type Read<T> = Result<T, String>;

/// A whole number. `u64::MAX` is no upper limit.
pub(crate) fn whole(text: &str, range: RangeInclusive<u64>) -> Read<u64> {
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| match (range.start(), range.end()) {
        (start, &u64::MAX) => format!("give a whole number, {start} or more"),
        (start, end) => format!("give a whole number from {start} to {end}"),
    })
}

/// As [`whole`], for `usize`.
pub(crate) fn count(text: &str, range: RangeInclusive<u64>) -> Read<usize> {
    usize::try_from(whole(text, range)?).map_err(|_| format!("give a whole number up to {}", usize::MAX))
}

/// As [`whole`], for numbers of 32 bits.
pub(crate) fn whole32(text: &str, range: RangeInclusive<u32>) -> Read<u32> {
    let wide = whole(text, (*range.start()).into()..=(*range.end()).into())?;
    u32::try_from(wide).map_err(|_| format!("give a whole number up to {}", u32::MAX))
}

/// A share, from 0 to 1.
pub(crate) fn share(text: &str) -> Read<f64> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "give a share from 0 to 1, such as 0.5".to_owned())
}

/// Rows per second.
pub(crate) fn rate(text: &str) -> Read<f64> {
    const MOST: f64 = 10_000_000.0;
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= MOST);
    rate.ok_or_else(|| format!("give rows per second, above 0 and up to {MOST}"))
}

/// Letters per second, as `100/s` or `100`.
pub(crate) fn letter_rate(text: &str) -> Read<f64> {
    rate(text.strip_suffix("/s").unwrap_or(text)).map_err(|allowed| format!("{allowed}, such as 100/s"))
}

/// The sizes of batches of letters; `None` is all the rest.
pub(crate) fn letter_batches(text: &str) -> Read<Vec<Option<u64>>> {
    let batch = |part: &str| match part.trim() {
        "all" => Some(None),
        number => number.parse().ok().filter(|number| *number > 0).map(Some),
    };
    text.split(',').map(batch).collect::<Option<_>>().ok_or_else(|| {
        "give numbers of letters with commas between them, and all for the rest, such as 10,100,all".to_owned()
    })
}

/// `true` or `false`, or 1 or 0, which is common in variables.
pub(crate) fn switch(text: &str) -> Read<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// The value with this name; an error lists the names of all.
pub(crate) fn one_of<T: Copy + Display>(text: &str, all: &[T]) -> Read<T> {
    let names: Vec<String> = all.iter().map(T::to_string).collect();
    let found = names.iter().position(|name| name == text);
    found.map(|index| all[index]).ok_or_else(|| {
        let (last, others) = names.split_last().expect("a choice has values");
        format!("give {} or {last}", others.join(", "))
    })
}

/// One of two words; whether it is the first.
pub(crate) fn either(text: &str, [yes, no]: [&str; 2]) -> Read<bool> {
    match text {
        _ if text == yes => Ok(true),
        _ if text == no => Ok(false),
        _ => Err(format!("give {yes} or {no}")),
    }
}

/// A time with its unit.
pub(crate) fn duration(text: &str, range: RangeInclusive<Duration>) -> Read<Duration> {
    humantime::parse_duration(text).ok().filter(|duration| range.contains(duration)).ok_or_else(|| {
        let [start, end] = [range.start(), range.end()].map(|end| humantime::format_duration(*end));
        format!("give a duration from {start} to {end} with its unit, such as 500ms, 2s or 1m")
    })
}

/// A time in RFC 3339, or how long ago, such as `2h`.
pub(crate) fn past(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let ago = humantime::parse_duration(text).ok()?;
    Utc::now().checked_sub_signed(chrono::Duration::from_std(ago).ok()?)
}

/// A size in bytes. An end of `u64::MAX` is none.
pub(crate) fn size(text: &str, range: RangeInclusive<u64>) -> Read<usize> {
    let size = text.parse().ok().filter(|size: &Bytes| range.contains(&size.0));
    size.and_then(|size| usize::try_from(size.0).ok()).ok_or_else(|| {
        let limits = match (Bytes(*range.start()), range.end()) {
            (start, &u64::MAX) => format!("of {start} or more bytes"),
            (start, end) => format!("from {start} to {}", Bytes(*end)),
        };
        format!("give a size {limits}, such as 64KiB, 16MiB or a plain number of bytes")
    })
}

/// A valid topic name of Kafka.
pub(crate) fn topic(text: &str) -> Read<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.is_empty() && text.len() <= TOPIC_CHARACTERS && text.chars().all(legal) && text != "." && text != ".." {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a topic name is 1 to {TOPIC_CHARACTERS} of the characters a-z, A-Z, 0-9, '.', '_' and '-', and not '.' or '..'"
    ))
}

/// A name that is not blank.
pub(crate) fn name(text: &str) -> Read<String> {
    let blank = text.chars().all(char::is_whitespace) || text.contains(char::is_control);
    if blank { Err("give a name that is not blank".to_owned()) } else { Ok(text.to_owned()) }
}

/// See [`Delivery`].
pub(crate) fn delivery(text: &str) -> Read<Delivery> {
    one_of(text, &[Delivery::ExactlyOnce, Delivery::AtLeastOnce])
}

/// See [`LogFormat`].
pub(crate) fn log_format(text: &str) -> Read<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("give text or json".to_owned()),
    }
}

/// A level or directives of a filter.
pub(crate) fn log_filter(text: &str) -> Read<String> {
    // A single word that is not a level would be the name of a module: a typo would silence the log.
    let lone_word = text.chars().all(char::is_alphanumeric);
    let known = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
    if (lone_word && !known) || EnvFilter::try_new(text).is_err() {
        return Err(format!("give one of {}, or directives such as info,kafka=debug", LEVELS.join(", ")));
    }
    Ok(text.to_owned())
}
