//! Throughput of a job as its readers see it: how the ends of its output topics move.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ends::Ends;
use crate::process::{Process, Usage};
use crate::{RUN_TIMEOUT, Topics};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One run, as seen from outside.
pub(crate) struct Run {
    /// What the process used.
    pub(crate) usage: Usage,
    /// From the start of the process to its first output that can be read.
    pub(crate) first_output: Duration,
    /// Records per second from the first to the last output.
    pub(crate) steady: f64,
    /// The same from a fifth to nine tenths of them.
    pub(crate) middle: f64,
}

/// Watches a job until it ends.
pub(crate) fn watch(mut process: Process, brokers: &str, topics: &Topics) -> Result<Run> {
    let ends = Ends::new(brokers, topics)?;
    let mut points = Vec::new();
    let usage = loop {
        let usage = process.poll()?;
        points.push((process.age().as_secs_f64(), ends.sum()?));
        if let Some(usage) = usage {
            break usage;
        }
        ensure!(process.age() < RUN_TIMEOUT, "a job is not done after {RUN_TIMEOUT:?}");
        std::thread::sleep(LOOK_EVERY);
    };
    let all = points.last().map_or(0.0, |(_, sum)| *sum);
    let reached = |share: f64| {
        let point = points.iter().find(|(_, sum)| *sum > 0.0 && *sum >= share * all);
        point.copied().context("a job wrote nothing")
    };
    let rate = |from: (f64, f64), to: (f64, f64)| (to.1 - from.1) / (to.0 - from.0).max(LOOK_EVERY.as_secs_f64());
    let (first, last) = (reached(0.0)?, reached(1.0)?);
    let middle = rate(reached(0.2)?, reached(0.9)?);
    Ok(Run { usage, first_output: Duration::from_secs_f64(first.0), steady: rate(first, last), middle })
}
