//! A redrive on the terminal, or as JSON lines.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use mapper_api::redrives::{LeftOutLetters, RedriveProgress};
use mapper_terminal::output::{self, Line};

use super::reporter::{NewGroups, RedriveReporter, RedriveSummary};
use crate::config::{RedriveConfig, StaleKeys};

/// The interval of JSON lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// The state of a redrive. One line of JSON.
#[derive(Debug, Serialize)]
struct Event<'a> {
    /// `progress`, `finished` or `stopped`.
    event: &'a str,
    #[serde(flatten)]
    progress: RedriveProgress,
}

/// Prints what a redrive does.
pub(super) struct TerminalReporter {
    is_json: bool,
    max_attempts: u32,
    stale_keys: StaleKeys,
    bar: Option<ProgressBar>,
    printed: Instant,
}

impl TerminalReporter {
    pub(super) fn new(config: &RedriveConfig) -> Self {
        Self {
            is_json: config.json || !output::stdout_is_terminal(),
            max_attempts: config.max_attempts,
            stale_keys: config.stale_keys,
            bar: None,
            printed: Instant::now(),
        }
    }
}

fn print_event(event: &str, progress: RedriveProgress) {
    let event = Event { event, progress };
    output::print_line(Line::default().text(serde_json::to_string(&event).expect("an event has string keys")));
}

impl RedriveReporter for TerminalReporter {
    fn started(&mut self, progress: &RedriveProgress) {
        let is_visible = !self.is_json && output::stderr_is_terminal();
        self.bar = is_visible.then(|| {
            let bar = ProgressBar::with_draw_target(Some(progress.letters), ProgressDrawTarget::stderr());
            let template = "{wide_bar} {human_pos} of {human_len} letters, {per_sec}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
            bar
        });
        self.printed = Instant::now();
    }

    fn nothing_selected(&mut self) {
        output::print_line("no open letter is selected");
    }

    fn committed(&mut self, progress: &RedriveProgress, _new_groups: &NewGroups) {
        if let Some(bar) = &self.bar {
            bar.set_position(progress.done);
        }
        if self.is_json && self.printed.elapsed() >= LINE_INTERVAL {
            self.printed = Instant::now();
            print_event("progress", *progress);
        }
    }

    fn may_continue(&mut self, _progress: &RedriveProgress, new_groups: &NewGroups) -> bool {
        let new = if new_groups.is_empty() {
            String::new()
        } else {
            format!("{} new groups of failures; ", new_groups.len())
        };
        output::eprint_prompt(&format!("{new}continue with the next batch? [y/N] "));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    fn ended(&mut self, summary: &RedriveSummary<'_>) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.is_json {
            print_event(if summary.is_stopped { "stopped" } else { "finished" }, summary.progress);
        } else {
            print_summary(summary);
        }
        print_left_out(summary.left_out, self.max_attempts);
        print_stale(summary.left_out.stale, self.stale_keys);
    }
}

fn print_summary(summary: &RedriveSummary<'_>) {
    let RedriveSummary { progress, new_groups, elapsed, is_stopped, .. } = summary;
    let RedriveProgress { letters, done, outputs, skipped, failed_again, .. } = progress;
    let seconds = elapsed.as_secs_f64();
    let stopped = if *is_stopped { "stopped: " } else { "" };
    let passed = done - failed_again;
    output::print_line(format!(
        "{stopped}redrove {done} of {letters} letters in {seconds:.1} s: {passed} passed with {outputs} outputs ({skipped} skipped), \
         {failed_again} failed again"
    ));
    for (fingerprint, failure) in *new_groups {
        output::print_line(format!("new group {fingerprint}: {failure}"));
    }
    if *is_stopped {
        output::print_line("nothing else was written; the same command continues");
    }
}

fn print_stale(stale: u64, stale_keys: StaleKeys) {
    if stale == 0 {
        return;
    }
    let (done, hint) = match stale_keys {
        StaleKeys::Skip => ("left out", ""),
        _ => ("redrove", " Their outputs follow newer ones; --stale-keys skip leaves such letters out"),
    };
    output::eprint_line(format!(
        "{done} {stale} letters whose key has an output with a later timestamp than their record.{hint}"
    ));
}

/// Prints which letters were not mapped because of their own state.
pub(super) fn print_left_out(LeftOutLetters { exhausted, lost, .. }: LeftOutLetters, max_attempts: u32) {
    let report = |count: u64, text: String| {
        if count > 0 {
            output::eprint_line(format!("left out {count} letters: {text}"));
        }
    };
    report(exhausted, format!("their records have failed {max_attempts} times or more (--max-attempts)"));
    report(lost, "parts of their records were cut, and the records are not in their topic any more".to_owned());
}
