//! The demo: an embedded broker, a generator of visits, and samples of inputs with their results. Its pipeline is a normal
//! pipeline.

mod next_steps;
mod samples;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::config::PipelineSpec;
use crate::pipelines::{self, Cluster};
use crate::threads::spawn_watcher;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_kafka::embedded::EmbeddedBroker;
use mapper_kafka::{KafkaSettings, TopicProducer};
use mapper_telemetry::Telemetry;
use mapper_terminal::console::Console;
use mapper_terminal::output;
use mapper_visits::{BURST_ROWS, Generator, Profile, VisitRow};

pub use next_steps::{next_steps, program_name};
use samples::show_samples;

/// The number of partitions of the reference job.
pub const PARTITIONS: i32 = 2;
/// The pause between two visits, slow enough to read the samples.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for all workers. Not all can join if there are more workers than partitions.
const LONGEST_START: Duration = Duration::from_secs(15);
/// The number of visits that are kept to show them with their results: those of a minute.
const REMEMBERED_VISITS: usize = 1200;

/// The topics of a demo.
struct Topics<'a> {
    input: &'a str,
    outputs: Vec<&'a str>,
    dead_letters: &'a str,
}

/// A demo has one input topic.
fn input_topic(spec: &PipelineSpec) -> &str {
    spec.input_topics.single().unwrap_or_default()
}

impl<'a> From<&'a PipelineSpec> for Topics<'a> {
    fn from(spec: &'a PipelineSpec) -> Self {
        Self { input: input_topic(spec), outputs: spec.output_topics(), dead_letters: &spec.dead_letter_topic }
    }
}

/// A demo: the cluster of a pipeline without brokers, the generator of its input, and the samples of its results.
pub struct Demo {
    broker: EmbeddedBroker,
    settings: KafkaSettings,
    recent: RecentVisits,
}

/// The latest visits by their unique timestamps. A result has the timestamp of its input unless the plugin sets another.
#[derive(Default)]
pub struct RecentVisits(Mutex<VecDeque<(i64, String)>>);

impl RecentVisits {
    /// Adds a visit; returns its timestamp, which is `now_ms` or a little later.
    fn add(&self, value: &str, now_ms: i64) -> i64 {
        let mut visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timestamp = visits.back().map_or(now_ms, |(last, _)| now_ms.max(last + 1));
        if visits.len() >= REMEMBERED_VISITS {
            visits.pop_front();
        }
        visits.push_back((timestamp, value.to_owned()));
        timestamp
    }

    /// The visit with this timestamp.
    fn find(&self, timestamp_ms: i64) -> Option<String> {
        let visits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = visits.binary_search_by_key(&timestamp_ms, |(timestamp, _)| *timestamp).ok()?;
        Some(visits[index].1.clone())
    }
}

impl Demo {
    /// Starts the broker of this pipeline, and prints the banner.
    ///
    /// # Errors
    /// If the broker can't be started.
    pub fn start(console: &Console, spec: &PipelineSpec) -> Result<Self, Halt> {
        let topics = spec.written_topics();
        let broker = EmbeddedBroker::start(topics.into_iter().chain([input_topic(spec)]), PARTITIONS)?;
        if console.is_for_people() {
            console.print_text(&banner(&spec.into()));
        }
        tracing::info!(brokers = broker.brokers(), "demo on an embedded broker; all data is gone at exit");
        let cluster = Cluster { brokers: broker.brokers(), is_durable: false };
        let settings = pipelines::settings(spec, &cluster);
        Ok(Self { broker, settings, recent: RecentVisits::default() })
    }

    /// The cluster of the pipeline.
    pub fn cluster(&self) -> Cluster {
        Cluster { brokers: self.settings.brokers.clone(), is_durable: false }
    }

    /// Generates visits for the pipeline, and shows samples of their results, until the watchers end.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn run<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        console: &'scope Console,
        (spec, telemetry): (&'scope PipelineSpec, &'scope Telemetry),
        (shutdown, watchers_end): (&'scope Shutdown, &'scope Shutdown),
    ) -> std::io::Result<()> {
        // Without the broker, which stays in this thread.
        let Self { settings, recent, .. } = self;
        let warn = |ended: Result<(), Halt>| {
            if let Err(halt) = ended {
                tracing::warn!("{}", halt.reason());
            }
        };
        let topic = input_topic(spec);
        let threads = &telemetry.threads;
        let generate = move || warn(generate((settings, topic), recent, telemetry, watchers_end));
        spawn_watcher(scope, "generator", threads, generate)?;
        if console.is_for_people() {
            // The samples show the failures with their inputs.
            telemetry.failure_log.mute();
            let show = move || warn(show_samples(console, settings, &spec.into(), recent, watchers_end));
            spawn_watcher(scope, "samples", threads, show)?;
        }
        spawn_watcher(scope, "reader", threads, move || end_without_reader(shutdown, watchers_end))
    }

    /// Keeps the broker running to the end of the process.
    pub fn outlive_clients(self) {
        self.broker.outlive_clients();
    }
}

/// Generates visits until the shutdown. It first waits for all workers: a worker that joins later takes
/// partitions from the others, and some visits are then mapped twice, with a warning.
fn generate(
    (settings, topic): (&KafkaSettings, &str),
    recent: &RecentVisits,
    telemetry: &Telemetry,
    shutdown: &Shutdown,
) -> Result<(), Halt> {
    let producer = TopicProducer::new(settings, topic).map_err(|error| Halt::new(Cause::Kafka, error))?;
    wait_for_workers(telemetry, shutdown);
    let mut visits = Generator::new(Profile::default());
    while !shutdown.requested() {
        for row in mixed(visits.by_ref().take(BURST_ROWS).collect()).take_while(|_| !shutdown.requested()) {
            let timestamp = recent.add(&row.value, chrono::Utc::now().timestamp_millis());
            let key = row.key.as_ref().map(String::as_bytes);
            producer.send(key, Some(row.value.as_bytes()), Some(timestamp), shutdown)?;
            shutdown.sleep(PAUSE);
        }
    }
    Ok(())
}

fn banner(topics: &Topics<'_>) -> String {
    let indent = " ".repeat(topics.input.chars().count());
    format!(
        "\nThis is a demo: a broker inside this process, a generator of visits, and your\nplugin between them.\n\
         \n    {} ──► plugin ──► {}\n    {indent}       └──► {} (dead letters)\n\n\
         Failures are part of it: half of the visits are incomplete or no JSON, on\n\
         purpose. A plugin that can't map them makes dead letters, with the reason.\n\
         All data is gone at exit. For a real Kafka: --brokers HOST:PORT (see --help).\n\
         Ctrl-C ends the demo, and tells what to try next.\n\n",
        topics.input,
        topics.outputs.join(", "),
        topics.dead_letters
    )
}

/// Waits until the pipeline has started and its workers have joined, or for [`LONGEST_START`].
fn wait_for_workers(telemetry: &Telemetry, shutdown: &Shutdown) {
    let mut started = Instant::now();
    loop {
        let reasons = telemetry.health.reasons();
        if reasons.is_empty() || shutdown.requested() || started.elapsed() >= LONGEST_START {
            return;
        }
        if reasons.iter().any(|(who, _)| *who == "start") {
            started = Instant::now();
        }
        shutdown.sleep(PAUSE);
    }
}

/// Ends the demo when its stdout is closed.
fn end_without_reader(shutdown: &Shutdown, watchers_end: &Shutdown) {
    while !watchers_end.requested() {
        if output::stdout_is_closed() {
            shutdown.request();
        }
        watchers_end.sleep(PAUSE);
    }
}

/// Alternates the complete and the incomplete visits of a burst; the generator returns the incomplete ones first. The rows of a
/// burst are of different visits, so each visit keeps its order.
fn mixed(mut burst: Vec<VisitRow>) -> impl Iterator<Item = VisitRow> {
    let complete = burst.split_off(burst.len() / 2);
    burst.into_iter().zip(complete).flat_map(|(incomplete, complete)| [complete, incomplete])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_are_found_by_their_unique_timestamps() {
        let visits = RecentVisits::default();
        let timestamps: Vec<i64> = ["a", "b", "c"].iter().map(|value| visits.add(value, 5)).collect();
        assert_eq!(timestamps, [5, 6, 7]);
        // The clock was set back.
        assert_eq!(visits.add("d", 1), 8);
        assert_eq!((visits.find(6).as_deref(), visits.find(9)), (Some("b"), None));
        (0..REMEMBERED_VISITS).for_each(|_| _ = visits.add("x", 100));
        assert_eq!((visits.find(6), visits.find(100).as_deref()), (None, Some("x")));
        assert_eq!(visits.0.into_inner().unwrap().len(), REMEMBERED_VISITS);
    }

    #[test]
    fn burst_is_mixed_and_complete() {
        let burst: Vec<VisitRow> = Generator::new(Profile::default()).take(BURST_ROWS).collect();
        let mut sorted: Vec<String> = mixed(burst.clone()).map(|row| row.value).collect();
        assert_eq!(sorted[..2], [burst[25].value.clone(), burst[0].value.clone()]);
        let mut expected: Vec<String> = burst.into_iter().map(|row| row.value).collect();
        sorted.sort();
        expected.sort();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn banner_fits_a_terminal_of_80_columns() {
        let topics = Topics { input: "visits", outputs: vec!["visits_reduced"], dead_letters: "visits_dlq" };
        let banner = banner(&topics);
        assert!(banner.lines().all(|line| line.chars().count() < 80), "{banner}");
    }
}
