//! The report of a swap in progress, and its log line.

use mapper_core::partition_key::PartitionKey;
use std::collections::BTreeMap;
use std::time::Instant;

use super::Refusal;
use crate::history::{Trigger, Version};
use crate::slot::Switched;
use mapper_api::versions::{Report, Step, SwapOutcome, TryOut};

/// A report without its outcome.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) by: Trigger,
    pub(super) forced: bool,
    pub(super) from: Version,
    pub(super) to: Option<Version>,
    pub(super) try_out: Option<TryOut>,
    pub(super) reason: Option<String>,
    offsets: BTreeMap<PartitionKey, Option<i64>>,
    pause_us: u64,
    began: Instant,
}

impl Draft {
    pub(super) fn new(by: Trigger, forced: bool, from: Version) -> Self {
        let (offsets, began) = (BTreeMap::new(), Instant::now());
        Self { by, forced, from, to: None, try_out: None, reason: None, offsets, pause_us: 0, began }
    }

    /// Sets the first offsets of the new version, and the longest pause of a worker.
    pub(super) fn set_switched(&mut self, switched: &[Switched], offsets: BTreeMap<PartitionKey, Option<i64>>) {
        self.offsets = offsets;
        let longest = switched.iter().map(|switched| switched.pause).max().unwrap_or_default();
        self.pause_us = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    }

    pub(super) fn finish(self, result: Result<SwapOutcome, Refusal>) -> Report {
        let (outcome, step, reason) = match result {
            Ok(outcome) => (outcome, None, None),
            Err(Refusal { step, reason }) => (SwapOutcome::Refused, Some(step), Some(reason)),
        };
        Report {
            outcome,
            step,
            reason: reason.or(self.reason),
            by: self.by,
            forced: self.forced,
            from: self.from,
            to: self.to,
            try_out: self.try_out,
            offsets: self.offsets,
            pause_us: self.pause_us,
            took_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        }
    }
}

/// Logs the try-out and the outcome. A swap by a change of the plugin file has no other answer.
pub(super) fn log(report: &Report) {
    if let Some(found) = &report.try_out {
        let TryOut { records, cases, same, different, broken, fixed, .. } = found;
        tracing::info!(records, cases, same, different, broken, fixed, "tried out the new version");
    }
    let (from, to) = (&report.from, report.to.as_ref().map(ToString::to_string));
    let by = name(report.by);
    match report.outcome {
        SwapOutcome::Swapped => {
            let Report { forced, pause_us, took_ms, .. } = report;
            let offsets = describe_offsets(&report.offsets);
            tracing::info!(%from, to, by, forced, offsets, pause_us, took_ms, "swapped");
        }
        SwapOutcome::Refused => {
            let (step, reason) = (report.step.map(Step::name), report.reason.as_deref());
            tracing::warn!(step, reason, %from, to, by, "refused the swap; the old version stays active");
        }
        SwapOutcome::Unchanged => tracing::info!(version = %from, by, "this version is active already"),
        SwapOutcome::Tried => tracing::info!(%from, to, by, "completed the dry run; the old version stays active"),
        SwapOutcome::Switching => tracing::warn!(%from, to, by, "some workers have not switched yet"),
    }
}

/// The name in JSON.
fn name(by: Trigger) -> String {
    serde_json::to_string(&by).unwrap_or_default().trim_matches('"').to_owned()
}

fn describe_offsets(offsets: &BTreeMap<PartitionKey, Option<i64>>) -> String {
    let texts = offsets.iter().map(|(partition, offset)| {
        let partition = String::from(partition.clone());
        offset.map_or_else(|| format!("{partition}:start"), |offset| format!("{partition}:{offset}"))
    });
    texts.collect::<Vec<_>>().join(" ")
}
