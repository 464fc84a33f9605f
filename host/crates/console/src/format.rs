//! Numbers, times and untrusted text for people.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use mapper_api::versions::Trigger;
use mapper_terminal::output::escape;
use maud::{Markup, html};

/// A count with thin spaces between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A rate: whole from 10 on, else with a decimal.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 10.0 || per_second == 0.0 { count(per_second.round() as u64) } else { format!("{per_second:.1}") }
}

/// A share from 0 to 1 as a percentage. A small share is not rounded to 0, and a large one not to 100.
pub(crate) fn share(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.1 => "< 0.1 %".to_owned(),
        percent if percent > 99.9 && percent < 100.0 => "> 99.9 %".to_owned(),
        percent if percent == 0.0 || percent == 100.0 => format!("{percent:.0} %"),
        percent => format!("{percent:.1} %"),
    }
}

pub(crate) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1000.0),
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut amount, mut unit) = (bytes as f64 / 1024.0, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1024.0, unit + 1);
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// The first digits of a digest.
pub(crate) fn short_digest(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// What activated a version, in words.
pub(crate) fn trigger_words(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Start => "the host started with it",
        Trigger::File => "the plugin file changed",
        Trigger::Signal => "SIGHUP",
        Trigger::Http => "swapped over HTTP",
        Trigger::Rollback => "rolled back",
        Trigger::Probation => "the version after it failed its probation",
    }
}

/// A time in UTC. The script shows it in the zone of the viewer, and keeps UTC as the title.
pub(crate) fn time(rfc3339: &str) -> Markup {
    let Ok(at) = DateTime::parse_from_rfc3339(rfc3339) else { return html! { (safe(rfc3339)) } };
    let at = at.with_timezone(&Utc);
    let text = at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! { time datetime=(at.to_rfc3339_opts(SecondsFormat::Millis, true)) title=(text) { (text) } }
}

/// The same for a time in milliseconds since 1970.
pub(crate) fn time_of_ms(ms: i64) -> Markup {
    match DateTime::from_timestamp_millis(ms) {
        Some(at) => time(&at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        None => html! { (ms) " ms" },
    }
}

/// Untrusted text: what a browser would not show, or would use to reorder other text, is escaped. maud escapes HTML.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    escape::text(text)
}

/// Untrusted text of at most this many characters.
pub(crate) fn excerpt(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", safe(&text[..end])),
        None => safe(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(["0", "999", "1\u{202f}000", "12\u{202f}345\u{202f}678"], [0, 999, 1000, 12_345_678].map(count)[..]);
        assert_eq!(["0", "0.4", "9.9", "10", "1\u{202f}235"], [0.0, 0.4, 9.9, 10.2, 1234.6].map(rate)[..]);
        let shares = [0.0, 0.000_1, 0.25, 0.999_9, 1.0].map(share);
        assert_eq!(["0 %", "< 0.1 %", "25.0 %", "> 99.9 %", "100 %"], shares[..]);
        assert_eq!(["500 µs", "1.5 ms", "12 ms", "2.0 s"], [0.5, 1.5, 12.3, 2000.0].map(milliseconds)[..]);
        assert_eq!(["12 B", "1.5 KiB", "3.0 GiB"], [12, 1536, 3 << 30].map(bytes)[..]);
    }

    #[test]
    fn text_that_a_browser_would_hide_or_reorder_is_escaped() {
        assert_eq!(safe("a\u{202e}b\0\u{1b}[2J\nc"), "a\\u{202e}b\\x00\\x1b[2J\nc");
        assert_eq!(excerpt("äöü", 2), "äö…");
        assert_eq!(excerpt("äöü", 3), "äöü");
        let page = time("<script>").into_string();
        assert_eq!(page, "&lt;script&gt;");
    }
}
