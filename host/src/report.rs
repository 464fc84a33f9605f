//! Reports the progress: a live line with counts and rates, and a summary at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::pipelines::{Entry, PipelineRegistry, State};
use mapper_core::counts::Counts;
use mapper_core::shutdown::Shutdown;
use mapper_telemetry::{Rates, Telemetry};
use mapper_terminal::console::Console;

const LIVE_INTERVAL: Duration = Duration::from_millis(500);
/// Without a terminal, the interval is longer, and a line is printed only after a change.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The progress of a pipeline at the last report.
#[derive(Default)]
struct Progress {
    generation: u64,
    rates: Rates,
    before: Counts,
}

impl Progress {
    /// The counts, the records per second, and whether the counts have changed since the last report.
    fn look(&mut self, entry: &Entry, now: Instant) -> (Counts, f64, bool) {
        let counts = entry.telemetry.counts();
        if self.generation != entry.generation() {
            *self = Self { generation: entry.generation(), ..Self::default() };
        }
        let rate = self.rates.now(now, &counts).records_in;
        let is_new = counts != self.before;
        self.rates.take(now, counts.clone());
        self.before = counts.clone();
        (counts, rate, is_new)
    }
}

/// Reports until the shutdown. With `names`, each line names its pipeline.
pub fn follow(console: &Console, registry: &PipelineRegistry, names: bool, shutdown: &Shutdown) {
    let mut pipelines: BTreeMap<String, Progress> = BTreeMap::new();
    let mut wait = Duration::ZERO;
    while !shutdown.requested() {
        shutdown.sleep(wait);
        wait = if console.is_live() { LIVE_INTERVAL } else { PLAIN_INTERVAL };
        let now = Instant::now();
        let mut live = Vec::new();
        for entry in registry.all().iter().filter(|entry| entry.state() != State::Starting) {
            let (counts, rate, is_new) = pipelines.entry(entry.name().to_owned()).or_default().look(entry, now);
            let named =
                || if names { format!("{}: {}", entry.name(), line(&counts, rate)) } else { line(&counts, rate) };
            if console.is_live() {
                live.push(named());
            } else if is_new && console.is_for_people() {
                console.print(named());
            } else if is_new {
                let details = Details { records_per_second: Some(rate.round()), ..Details::default() };
                log_counts("progress", names.then_some(entry.name()), &counts, &details);
            }
            entry.telemetry.failure_log.tick(now);
        }
        if !live.is_empty() {
            console.live(&live.join("   "));
        }
    }
    registry.all().iter().for_each(|entry| entry.telemetry.failure_log.finish());
}

/// The fields of a log line that only the progress or only the summary has.
#[derive(Default)]
struct Details {
    records_per_second: Option<f64>,
    dead_letters_by_kind: Option<String>,
    transactions: Option<u64>,
    aborts: Option<u64>,
    rebalances: Option<u64>,
    seconds: Option<f64>,
}

fn log_counts(event: &'static str, pipeline: Option<&str>, counts: &Counts, details: &Details) {
    tracing::info!(
        pipeline,
        records_in = counts.records_in,
        records_out = counts.records_out,
        skipped = counts.skipped,
        dead_letters = counts.dead_letters(),
        dead_letters_by_kind = details.dead_letters_by_kind,
        transactions = details.transactions,
        aborts = details.aborts,
        rebalances = details.rebalances,
        records_per_second = details.records_per_second,
        seconds = details.seconds,
        "{event}"
    );
}

/// Reports the totals of each pipeline, as text for people or as a log line.
pub fn finish(console: &Console, registry: &PipelineRegistry, names: bool) {
    for entry in registry.all() {
        if console.is_for_people() {
            let title = if names { format!("{}: ", entry.name()) } else { String::new() };
            console.print_text(&format!("{title}{}", summary(&entry.telemetry, registry.uptime())));
        } else {
            log_summary(names.then_some(entry.name()), &entry.telemetry, registry.uptime());
        }
    }
}

fn line(counts: &Counts, rate: f64) -> String {
    // Rates below ten have a decimal, so that they are not rounded to 0.
    let decimals = usize::from(rate < 10.0 && rate > 0.0);
    format!(
        "{} in ({rate:.decimals$}/s) → {} out, {} dead letters, {} skipped",
        counts.records_in,
        counts.records_out,
        counts.dead_letters(),
        counts.skipped
    )
}

fn summary(telemetry: &Telemetry, ran: Duration) -> String {
    let counts = telemetry.counts();
    let seconds = ran.as_secs_f64();
    let kinds: Vec<String> = counts.by_kind().map(|(kind, count)| format!("{count} {kind}")).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    format!(
        "{} records in {seconds:.1} s: {} outputs, {} dead letters{kinds}, {} skipped\n\
         {} commits, {} aborts; mapping took {:.1} µs a record\n",
        counts.records_in,
        counts.records_out,
        counts.dead_letters(),
        counts.skipped,
        telemetry.transactions(),
        telemetry.aborts(),
        telemetry.mapping_time().as_nanos() as f64 / 1000.0,
    )
}

fn log_summary(pipeline: Option<&str>, telemetry: &Telemetry, ran: Duration) {
    let counts = telemetry.counts();
    let by_kind: Vec<String> = counts.by_kind().map(|(kind, count)| format!("{kind}={count}")).collect();
    let details = Details {
        dead_letters_by_kind: Some(by_kind.join(",")),
        transactions: Some(telemetry.transactions()),
        aborts: Some(telemetry.aborts()),
        rebalances: Some(telemetry.rebalances()),
        seconds: Some(ran.as_secs_f64()),
        records_per_second: None,
    };
    log_counts("done", pipeline, &counts, &details);
}
