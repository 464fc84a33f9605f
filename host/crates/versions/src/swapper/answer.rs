//! The report of a swap while it is in the making, and what is logged of it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Refused;
use crate::history::{By, Version};
use crate::report::{Ended, Report, TryOut};
use crate::slot::Taken;

/// What is known so far.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) by: By,
    pub(super) forced: bool,
    pub(super) from: Version,
    pub(super) to: Option<Version>,
    pub(super) try_out: Option<TryOut>,
    pub(super) reason: Option<String>,
    offsets: BTreeMap<i32, Option<i64>>,
    pause_us: u64,
    began: Instant,
}

impl Draft {
    pub(super) fn new(by: By, forced: bool, from: Version) -> Self {
        let (offsets, began) = (BTreeMap::new(), Instant::now());
        Self { by, forced, from, to: None, try_out: None, reason: None, offsets, pause_us: 0, began }
    }

    /// What the workers said that took the new version.
    pub(super) fn taken(&mut self, taken: &[Taken], offsets: &BTreeMap<i32, Option<i64>>) {
        self.offsets.clone_from(offsets);
        let longest = taken.iter().map(|taken| taken.pause).max().unwrap_or_default();
        self.pause_us = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    }

    pub(super) fn end(self, ended: Result<Ended, Refused>) -> Report {
        let (outcome, step, why) = match ended {
            Ok(outcome) => (outcome, None, None),
            Err((step, why)) => (Ended::Refused, Some(step), Some(why)),
        };
        Report {
            outcome,
            step,
            reason: why.or(self.reason),
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

/// Logs how a swap ended, with what its try-out found: who deploys by replacing a file sees nothing else of it.
pub(super) fn log(report: &Report) {
    let (from, to) = (report.from.to_string(), report.to.as_ref().map(ToString::to_string).unwrap_or_default());
    let by = serde_json::to_string(&report.by).unwrap_or_default();
    let by = by.trim_matches('"');
    let found = report.try_out.as_ref();
    let (tried_records, tried_cases) = (found.map(|found| found.records), found.map(|found| found.cases));
    let (same, different) = (found.map(|found| found.same), found.map(|found| found.different));
    let (broken, fixed) = (found.map(|found| found.broken), found.map(|found| found.fixed));
    match report.outcome {
        Ended::Swapped => {
            let offsets: Vec<String> = report
                .offsets
                .iter()
                .map(|(partition, offset)| match offset {
                    Some(offset) => format!("{partition}:{offset}"),
                    None => format!("{partition}:start"),
                })
                .collect();
            let (offsets, forced) = (offsets.join(" "), report.forced);
            let (pause_us, took_ms) = (report.pause_us, report.took_ms);
            tracing::info!(
                from,
                to,
                by,
                forced,
                offsets,
                pause_us,
                took_ms,
                tried_records,
                tried_cases,
                same,
                different,
                broken,
                fixed,
                "swapped"
            );
        }
        Ended::Refused => {
            let step = report.step.map(|step| step.name()).unwrap_or_default();
            let reason = report.reason.as_deref().unwrap_or_default();
            tracing::warn!(
                step,
                reason,
                from,
                to,
                by,
                tried_records,
                tried_cases,
                same,
                different,
                broken,
                fixed,
                "the swap is refused; the old version goes on"
            );
        }
        Ended::Unchanged => tracing::info!(version = from, by, "this version speaks already; nothing to swap"),
        Ended::Tried => {
            tracing::info!(
                from,
                to,
                by,
                tried_records,
                tried_cases,
                same,
                different,
                broken,
                fixed,
                "tried out, and not swapped, as asked"
            );
        }
        Ended::Switching => tracing::warn!(from, to, by, "not all workers could take the new version yet"),
    }
}
