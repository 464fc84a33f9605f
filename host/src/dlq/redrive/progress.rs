//! What a redrive has done, for the terminal or as JSON lines.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use mapper_core::counts::Counts;
use mapper_core::shutdown::Shutdown;
use mapper_pipeline::{CommittedTransaction, FailedRecord, Observer};
use mapper_terminal::output::{self, Line};

use super::sink::TransactionCounts;

/// The interval of JSON lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// The state of a redrive. One line of JSON.
#[derive(Debug, Serialize)]
struct Event<'a> {
    /// `progress`, `finished` or `stopped`.
    event: &'a str,
    letters: u64,
    done: u64,
    outputs: u64,
    skipped: u64,
    failed_again: u64,
    per_second: f64,
    seconds_left: Option<f64>,
}

/// Shared by the observer and the command.
pub(super) struct Progress {
    pub(super) total: u64,
    pub(super) done: u64,
    pub(super) counts: Counts,
    /// Failures of groups that no letter had before: fingerprint and failure.
    pub(super) new_groups: BTreeMap<String, String>,
    is_json: bool,
    bar: Option<ProgressBar>,
    started: Instant,
    printed: Instant,
}

impl Progress {
    pub(super) fn new(total: u64, is_json: bool) -> Self {
        let is_visible = !is_json && output::stderr_is_terminal();
        let bar = is_visible.then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let template = "{wide_bar} {human_pos} of {human_len} letters, {per_sec}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
            bar
        });
        let now = Instant::now();
        Self {
            total,
            done: 0,
            counts: Counts::default(),
            new_groups: BTreeMap::new(),
            is_json,
            bar,
            started: now,
            printed: now,
        }
    }

    fn committed(&mut self, committed: &CommittedTransaction<'_>) {
        self.done += committed.records as u64;
        self.counts.add(committed.counts);
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
        if self.is_json && self.printed.elapsed() >= LINE_INTERVAL {
            self.printed = Instant::now();
            self.print_event("progress");
        }
    }

    fn print_event(&self, event: &str) {
        let per_second = self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let left = self.total.saturating_sub(self.done) as f64;
        let event = Event {
            event,
            letters: self.total,
            done: self.done,
            outputs: self.counts.records_out,
            skipped: self.counts.skipped,
            failed_again: self.counts.dead_letters(),
            per_second: (per_second * 10.0).round() / 10.0,
            seconds_left: (per_second > 0.0).then_some((left / per_second).round()),
        };
        output::print_line(Line::default().text(serde_json::to_string(&event).expect("an event has string keys")));
    }

    /// Prints what is done.
    pub(super) fn finish(&self, is_stopped: bool) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.is_json {
            self.print_event(if is_stopped { "stopped" } else { "finished" });
            return;
        }
        let Counts { records_out, skipped, .. } = self.counts;
        let failed = self.counts.dead_letters();
        let seconds = self.started.elapsed().as_secs_f64();
        let stopped = if is_stopped { "stopped: " } else { "" };
        output::print_line(format!(
            "{stopped}redrove {} of {} letters in {seconds:.1} s: {} passed with {records_out} outputs ({skipped} skipped), {failed} failed \
             again",
            self.done,
            self.total,
            self.done - failed,
        ));
        for (fingerprint, failure) in &self.new_groups {
            output::print_line(format!("new group {fingerprint}: {failure}"));
        }
        if is_stopped {
            output::print_line("nothing else was written; the same command continues");
        }
    }
}

/// Reports transactions and failures.
pub(super) struct RedriveObserver {
    pub(super) progress: Rc<RefCell<Progress>>,
    pub(super) transaction: Rc<RefCell<TransactionCounts>>,
    pub(super) known: HashSet<String>,
    /// Requested when a group is new.
    pub(super) stop: Option<Shutdown>,
}

impl Observer for RedriveObserver {
    fn records_failed(&mut self, failed: &[FailedRecord<'_>], _at: DateTime<Utc>) {
        for FailedRecord { failure, fingerprint, .. } in failed {
            *self.transaction.borrow_mut().kinds.entry(failure.kind.name()).or_default() += 1;
            if self.known.contains(fingerprint) {
                continue;
            }
            let message = failure.message.lines().next().unwrap_or_default();
            let mut progress = self.progress.borrow_mut();
            progress.new_groups.entry(fingerprint.clone()).or_insert_with(|| format!("{}: {message}", failure.kind));
            if let Some(stop) = &self.stop {
                stop.request();
            }
        }
    }

    fn transaction_committed(&mut self, committed: CommittedTransaction<'_>) {
        self.progress.borrow_mut().committed(&committed);
    }
}
