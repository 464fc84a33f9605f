//! The demo: an embedded broker, a generator of visits, and samples of what comes out. The pipeline between is the real one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::{KafkaSettings, Peek, TopicProducer};
use crate::shutdown::{Halt, Shutdown};
use crate::visits::{BURST_ROWS, Generator, Profile};

/// As the reference job has it.
pub const PARTITIONS: i32 = 2;
/// The first samples of each topic are shown at once, then now and then one.
const FIRST_SAMPLES: usize = 3;
const LATER_SAMPLES: Duration = Duration::from_secs(3);
/// Dead letters are shown at once when their reason is new, up to this many.
const MOST_REASONS: usize = 10;
const SAMPLE_WIDTH: usize = 160;

/// The topics of a demo: input, outputs, dead letters.
pub struct Topics<'a> {
    /// Where the visits go.
    pub input: &'a str,
    /// The output topics.
    pub outputs: Vec<&'a str>,
    /// The dead-letter topic.
    pub dead_letters: &'a str,
}

/// Starts the broker, and says what this is.
///
/// # Errors
/// When the broker can't be started.
pub fn start(console: &Console, topics: &Topics<'_>) -> Result<EmbeddedBroker, Halt> {
    let all = topics.outputs.iter().copied().chain([topics.input, topics.dead_letters]);
    let broker = EmbeddedBroker::start(all, PARTITIONS)?;
    if console.is_for_people() {
        console.print_text(&banner(topics));
    }
    tracing::info!(brokers = broker.brokers(), "demo on an embedded broker; all data is gone at exit");
    Ok(broker)
}

fn banner(topics: &Topics<'_>) -> String {
    format!(
        "\nThis is a demo: a broker inside this process, visits from a generator, and your plugin between them.\n\
         \n    {} ──► plugin ──► {}\n                 └──► {} (what the plugin can't map)\n\n\
         All of it is gone at exit. For a real Kafka: --brokers HOST:PORT (see --help). Ctrl-C ends it.\n\n",
        topics.input,
        topics.outputs.join(", "),
        topics.dead_letters
    )
}

/// Generates visits in the reference rhythm until the shutdown.
///
/// # Errors
/// When they can't be produced.
pub fn generate(settings: &KafkaSettings, topic: &str, shutdown: &Shutdown) -> Result<(), Halt> {
    let producer = TopicProducer::new(settings, topic).map_err(|error| Halt::kafka(error.to_string()))?;
    let mut visits = Generator::new(Profile::default());
    while !shutdown.requested() {
        for row in visits.by_ref().take(BURST_ROWS) {
            producer.send(row.key.as_ref().map(String::as_bytes), row.value.as_bytes(), shutdown)?;
        }
        let pause = visits.pause();
        shutdown.sleep(pause);
    }
    Ok(())
}

/// Shows samples of the outputs and the dead letters until the shutdown.
///
/// # Errors
/// When they can't be read.
pub fn show_samples(
    console: &Console,
    settings: &KafkaSettings,
    topics: &Topics<'_>,
    shutdown: &Shutdown,
) -> Result<(), Halt> {
    let shown: Vec<&str> = topics.outputs.iter().copied().chain([topics.dead_letters]).collect();
    let peek = Peek::new(settings, &shown, PARTITIONS).map_err(|error| Halt::kafka(error.to_string()))?;
    let width = shown.iter().map(|topic| topic.len()).max().unwrap_or_default();
    let mut state: Vec<(usize, Instant)> = vec![(0, Instant::now()); shown.len()];
    let mut reasons = HashSet::new();
    while !shutdown.requested() {
        let Some((topic, value)) = peek.next(Duration::from_millis(100)) else { continue };
        let Some(index) = shown.iter().position(|known| *known == topic) else { continue };
        let (count, last) = &mut state[index];
        let (text, is_news) = match dead_letter(&value).filter(|_| topic == topics.dead_letters) {
            Some((reason, text)) => (text, reasons.len() < MOST_REASONS && reasons.insert(reason)),
            None => (value, *count < FIRST_SAMPLES),
        };
        if is_news || last.elapsed() >= LATER_SAMPLES {
            *count += 1;
            *last = Instant::now();
            console.print(format!("  {topic:width$}  {}", shorten(&text)));
        }
    }
    Ok(())
}

/// The reason of a dead letter, and the letter as text with the reason first.
fn dead_letter(envelope: &str) -> Option<(String, String)> {
    let envelope: serde_json::Value = serde_json::from_str(envelope).ok()?;
    let reason = envelope["error_message"].as_str()?.to_owned();
    let text = format!("{reason}  ⟵  {}", envelope["input_json"].as_str().unwrap_or("null"));
    Some((reason, text))
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= SAMPLE_WIDTH {
        return text.to_owned();
    }
    text.chars().take(SAMPLE_WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_shown_with_its_reason_first() {
        let envelope = r#"{"processing_time": "2024", "input_json": "{........", "error_message": "no"}"#;
        assert_eq!(dead_letter(envelope), Some(("no".to_owned(), "no  ⟵  {........".to_owned())));
        assert_eq!(dead_letter("odd"), None);
        assert_eq!(shorten(&"ä".repeat(SAMPLE_WIDTH)), "ä".repeat(SAMPLE_WIDTH));
        assert_eq!(shorten(&"ä".repeat(500)).chars().count(), SAMPLE_WIDTH);
    }
}
