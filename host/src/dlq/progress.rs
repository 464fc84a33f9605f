//! The progress of a scan, as a bar on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use mapper_core::record::Positions;
use mapper_terminal::output;

/// A shorter scan shows no bar.
const MIN_RECORDS: u64 = 20_000;

pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar for the records between these offsets; only if stderr is a terminal.
    pub(super) fn new(what: &str, firsts: &Positions, ends: &Positions) -> Self {
        let first = |partition| firsts.get(partition).copied().unwrap_or(0);
        let total: u64 = ends.iter().map(|(partition, end)| (end - first(partition)).max(0) as u64).sum();
        let is_visible = output::stderr_is_terminal() && total >= MIN_RECORDS;
        Self(is_visible.then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let template = format!("{{wide_bar}} {{human_pos}} of {{human_len}} {what}, {{per_sec}}, {{eta}} left");
            bar.set_style(ProgressStyle::with_template(&template).expect("a valid template"));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        }))
    }

    /// Shows nothing.
    pub(super) fn hidden() -> Self {
        Self(None)
    }

    pub(super) fn advance(&self, records: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(records as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
