//! Throughput of a job as its readers see it: how the ends of its output topics move.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ends::Ends;
use crate::process::{Process, Usage};
use crate::{RUN_TIMEOUT, Topics};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Most peers never end. One is done if it has written all, and then nothing for this time, which is several commit intervals of each.
const QUIET: Duration = Duration::from_secs(3);

/// One run, as seen from outside.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// Records per second from the first to the last output.
    pub(crate) records_per_second: f64,
    /// CPU time of a record, in microseconds, from the first to the last output: without the start, which a JVM would be charged for.
    pub(crate) cpu_us: f64,
    /// From the start of the process to its first output that can be read.
    pub(crate) first_output: Duration,
    /// The most memory of all its processes.
    pub(crate) peak_rss_bytes: u64,
}

/// The state of a job at one moment.
struct Point {
    at: Duration,
    outputs: f64,
    usage: Usage,
}

/// Runs a job until it has ended, or written this many records and nothing more. Stops it then.
pub(crate) fn run(command: Command, log: PathBuf, brokers: &str, topics: &Topics, records: u64) -> Result<Run> {
    let ends = Ends::new(brokers, topics)?;
    // The first answer takes long, as the client has to find the leaders of the new topics.
    ensure!(ends.sum()? == 0.0, "the output topics are new");
    let mut process = Process::start(command, log)?;
    // Those at which the outputs were more than before.
    let mut points: Vec<Point> = Vec::new();
    loop {
        let usage = process.usage();
        let ended = process.ended()?;
        let (outputs, at) = (ends.sum()?, process.age());
        if outputs > points.last().map_or(0.0, |point| point.outputs) {
            points.push(Point { at, outputs, usage });
        }
        if let Some(status) = ended {
            ensure!(status.success(), "the job failed ({status}):\n{}", process.log_tail());
            break;
        }
        let last = points.last().map_or((Duration::ZERO, 0.0), |point| (point.at, point.outputs));
        if last.1 >= records as f64 && at - last.0 >= QUIET {
            process.stop()?;
            break;
        }
        ensure!(
            at < RUN_TIMEOUT,
            "the job has written {} of {records} records after {RUN_TIMEOUT:?}:\n{}",
            last.1,
            process.log_tail()
        );
        thread::sleep(LOOK_EVERY);
    }
    let first = points.first().with_context(|| format!("the job wrote nothing:\n{}", process.log_tail()))?;
    let last = points.last().expect("there is a first one");
    let written = last.outputs - first.outputs;
    let took = (last.at - first.at).max(LOOK_EVERY).as_secs_f64();
    Ok(Run {
        records_per_second: written / took,
        cpu_us: (last.usage.cpu - first.usage.cpu).as_secs_f64() * 1e6 / written.max(1.0),
        first_output: first.at,
        peak_rss_bytes: process.usage().peak_rss_bytes,
    })
}
