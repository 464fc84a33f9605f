//! Says how it goes: a live line with counts and rates, and a summary at the end.

use std::time::{Duration, Instant};

use crate::console::Console;
use crate::shutdown::Shutdown;
use crate::telemetry::{Counts, Rates, Telemetry};

const LIVE_INTERVAL: Duration = Duration::from_millis(500);
/// Without a terminal a line is for a file: fewer, and none when nothing has happened.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Reports until the shutdown.
pub fn follow(console: &Console, telemetry: &Telemetry, shutdown: &Shutdown) {
    let rates = Rates::default();
    let mut before = Counts::default();
    rates.take(Instant::now(), before.clone());
    while !shutdown.requested() {
        shutdown.sleep(if console.is_live() { LIVE_INTERVAL } else { PLAIN_INTERVAL });
        let (now, counts) = (Instant::now(), telemetry.counts());
        let rate = rates.now(now, &counts).records_in;
        if console.is_live() {
            console.live(&line(&counts, rate));
        } else if counts != before && console.is_for_people() {
            console.print(line(&counts, rate));
        } else if counts != before {
            tracing::info!(
                records_in = counts.records_in,
                records_out = counts.records_out,
                skipped = counts.skipped,
                dead_letters = counts.dead_letters(),
                records_per_second = rate.round(),
                "progress"
            );
        }
        telemetry.failure_log.tick(now);
        rates.take(now, counts.clone());
        before = counts;
    }
    telemetry.failure_log.finish();
}

fn line(counts: &Counts, rate: f64) -> String {
    // Fewer than ten a second are not rounded to none.
    let decimals = usize::from(rate < 10.0 && rate > 0.0);
    format!(
        "{} in ({rate:.decimals$}/s) → {} out, {} dead letters, {} skipped",
        counts.records_in,
        counts.records_out,
        counts.dead_letters(),
        counts.skipped
    )
}

/// What was done, in a few lines.
pub fn summary(telemetry: &Telemetry, ran: Duration) -> String {
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

/// The same for a program that reads logs.
pub fn log_summary(telemetry: &Telemetry, ran: Duration) {
    let counts = telemetry.counts();
    let by_kind: Vec<String> = counts.by_kind().map(|(kind, count)| format!("{kind}={count}")).collect();
    tracing::info!(
        records_in = counts.records_in,
        records_out = counts.records_out,
        skipped = counts.skipped,
        dead_letters = counts.dead_letters(),
        dead_letters_by_kind = by_kind.join(","),
        transactions = telemetry.transactions(),
        aborts = telemetry.aborts(),
        rebalances = telemetry.rebalances(),
        seconds = ran.as_secs_f64(),
        "done"
    );
}
