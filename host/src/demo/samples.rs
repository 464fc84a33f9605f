//! Samples of outputs and dead letters, each below its input.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthChar;

use super::{PARTITIONS, RecentVisits, Topics};
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_kafka::{KafkaSettings, Peek, Peeked};
use mapper_terminal::console::Console;
use mapper_terminal::output::escape;

/// The first samples of each topic are shown immediately, later ones in intervals.
const FIRST_SAMPLES: usize = 3;
const LATER_SAMPLES: Duration = Duration::from_secs(3);
/// A dead letter with a new reason is shown immediately, up to this many times.
const MOST_REASONS: usize = 10;
/// The columns of a line without a terminal.
const PLAIN_COLUMNS: usize = 160;

/// Shows samples until the shutdown.
///
/// # Errors
/// If the topics cannot be read.
pub(super) fn show_samples(
    console: &Console,
    settings: &KafkaSettings,
    topics: &Topics<'_>,
    recent: &RecentVisits,
    shutdown: &Shutdown,
) -> Result<(), Halt> {
    let shown: Vec<&str> = topics.outputs.iter().copied().chain([topics.dead_letters]).collect();
    let peek = Peek::new(settings, &shown, PARTITIONS).map_err(|error| Halt::new(Cause::Kafka, error))?;
    let label_columns = shown.iter().map(|topic| topic.len() + 2).chain([topics.input.len()]).max().unwrap_or_default();
    let mut state: Vec<(usize, Instant)> = vec![(0, Instant::now()); shown.len()];
    let mut reasons = HashSet::new();
    while !shutdown.requested() {
        let Some(record) = peek.next(Duration::from_millis(100)) else { continue };
        let Some(index) = shown.iter().position(|known| **known == record.topic) else { continue };
        let (count, last) = &mut state[index];
        let sample = Sample::new(record, topics, recent);
        let is_new_reason =
            sample.reason.as_ref().is_some_and(|reason| reasons.len() < MOST_REASONS && !reasons.contains(reason));
        if is_new_reason || *count < FIRST_SAMPLES || last.elapsed() >= LATER_SAMPLES {
            *count += 1;
            *last = Instant::now();
            console.print_text(&sample.text(topics.input, label_columns, console.columns().unwrap_or(PLAIN_COLUMNS)));
            reasons.extend(sample.reason);
        }
    }
    Ok(())
}

/// A visit, if it is known, and its result.
#[derive(Debug, PartialEq, Eq)]
struct Sample {
    input: Option<String>,
    topic: String,
    result: String,
    /// The reason of the dead letter.
    reason: Option<String>,
}

impl Sample {
    fn new(record: Peeked, topics: &Topics<'_>, recent: &RecentVisits) -> Self {
        let Peeked { topic, timestamp_ms, value } = record;
        let value = value.unwrap_or_else(|| "null".to_owned());
        match dead_letter(&value).filter(|_| topic == topics.dead_letters) {
            Some((reason, input)) => Self { input: Some(input), topic, result: reason.clone(), reason: Some(reason) },
            None => {
                let input = timestamp_ms.and_then(|timestamp| recent.find(timestamp));
                Self { input, topic, result: value, reason: None }
            }
        }
    }

    /// Two lines, one below the other, cut to the width of the terminal.
    fn text(&self, input_topic: &str, label_columns: usize, columns: usize) -> String {
        // A character in the last column may wrap the line.
        let line =
            |label: &str, text: &str| cut(&format!("  {label:label_columns$}  {text}"), columns.saturating_sub(1));
        let result = line(&format!("→ {}", self.topic), &self.result);
        match &self.input {
            Some(input) => format!("{}\n{result}\n", line(input_topic, input)),
            None => format!("{result}\n"),
        }
    }
}

/// The reason of a dead letter, and the input that its value has.
fn dead_letter(envelope: &str) -> Option<(String, String)> {
    let envelope: serde_json::Value = serde_json::from_str(envelope).ok()?;
    // The first line is enough; a traceback follows it.
    let reason = envelope["error_message"].as_str()?.lines().next().unwrap_or_default().to_owned();
    Some((reason, envelope["input_json"].as_str().unwrap_or("null").to_owned()))
}

/// The beginning of the escaped text that fits into the columns.
fn cut(text: &str, columns: usize) -> String {
    let (mut used, mut end, mut line) = (0, 0, String::new());
    for character in escape::line(text).chars() {
        let width = character.width().unwrap_or(0);
        if used + width > columns {
            line.truncate(end);
            line.push('…');
            return line;
        }
        used += width;
        line.push(character);
        // The mark of the cut fits behind this position.
        if used < columns {
            end = line.len();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics<'static> {
        Topics { input: "in", outputs: vec!["out"], dead_letters: "dlq" }
    }

    fn peeked(topic: &str, timestamp_ms: i64, value: &str) -> Peeked {
        Peeked { topic: topic.to_owned(), timestamp_ms: Some(timestamp_ms), value: Some(value.to_owned()) }
    }

    #[test]
    fn output_is_shown_below_its_input() {
        let recent = RecentVisits::default();
        recent.add("{1}", 7);
        let sample = Sample::new(peeked("out", 7, "{2}"), &topics(), &recent);
        assert_eq!(sample.text("in", 5, 80), "  in     {1}\n  → out  {2}\n");
        let unknown = Sample::new(peeked("out", 8, "{2}"), &topics(), &recent);
        assert_eq!(unknown.text("in", 5, 80), "  → out  {2}\n");
        let tombstone = Peeked { value: None, ..peeked("out", 7, "") };
        assert_eq!(Sample::new(tombstone, &topics(), &recent).text("in", 5, 80), "  in     {1}\n  → out  null\n");
    }

    #[test]
    fn dead_letter_is_shown_as_its_reason_below_its_input() {
        let envelope =
            r#"{"processing_time": "2024", "input_json": "{........", "error_message": "ValueError: no\nTraceback"}"#;
        let sample = Sample::new(peeked("dlq", 7, envelope), &topics(), &RecentVisits::default());
        assert_eq!(sample.text("in", 5, 80), "  in     {........\n  → dlq  ValueError: no\n");
        assert_eq!(sample.reason.as_deref(), Some("ValueError: no"));
        let odd = Sample::new(peeked("dlq", 7, "odd"), &topics(), &RecentVisits::default());
        assert_eq!(odd.text("in", 5, 80), "  → dlq  odd\n");
    }

    #[test]
    fn line_is_truncated_to_the_width_of_the_terminal() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("ääää", 3, "ää…"),
            // Wide characters.
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("a\x1b[31m\nb", 80, "a\\x1b[31m\\nb"),
            ("abc", 0, "…"),
        ] {
            assert_eq!(cut(text, columns), expected, "{text:?} in {columns}");
        }
    }
}
