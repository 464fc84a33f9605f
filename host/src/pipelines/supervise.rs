//! Waits for the workers of a pipeline, and drains them at the end.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cluster::Kafka;
use crate::config::PipelineSpec;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_kafka::Input;
use mapper_pipeline::activity::Activity;
use mapper_telemetry::Telemetry;

/// The interval of checks whether the group has committed the rest of a run with `--until-end`.
const ASK_OTHERS: Duration = Duration::from_secs(1);
/// How much longer than the drain timeout a worker may take to close its clients.
const CLOSING_GRACE: Duration = Duration::from_secs(8);
/// The interval of checks for ended workers.
const POLL: Duration = Duration::from_millis(20);
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// The threads of workers.
pub(super) type Workers = Vec<JoinHandle<Result<(), Halt>>>;

/// The result of the workers of a pipeline.
pub(super) struct Drained {
    /// When the drain timeout ends.
    pub(super) deadline: Instant,
    pub(super) ended: Result<(), Halt>,
    /// Workers that are still running.
    pub(super) left: Workers,
}

/// Waits for the workers. After a shutdown request they have the drain timeout; the next host processes uncommitted records
/// again.
pub(super) fn supervise(
    workers: Workers,
    spec: &PipelineSpec,
    (kafka, input): (&Kafka, &Input),
    telemetry: &Telemetry,
    (shutdown, workers_end): (&Shutdown, &Shutdown),
) -> Drained {
    let mut asked = Instant::now();
    let is_over = || shutdown.requested() || workers_end.requested();
    while !is_over() && !workers.iter().all(JoinHandle::is_finished) {
        shutdown.sleep(POLL);
        if asked.elapsed() >= ASK_OTHERS {
            asked = Instant::now();
            if kafka.is_done(input) {
                break;
            }
        }
    }
    telemetry.health.not_ready("end", "the host drains: it finishes and commits the open transactions");
    workers_end.request();
    drain(workers, spec.drain_timeout, telemetry)
}

fn drain(workers: Workers, timeout: Duration, telemetry: &Telemetry) -> Drained {
    let deadline = Instant::now() + timeout;
    while !workers.iter().all(JoinHandle::is_finished) {
        let now = Instant::now();
        if now >= deadline {
            let open: Vec<Activity> =
                (0..).zip(&workers).filter_map(|(number, worker)| still_does(telemetry, number, worker)).collect();
            // All is committed, and closing has its own limit.
            if open.iter().all(|activity| matches!(activity, Activity::Leaving | Activity::Failed)) {
                if now < deadline + CLOSING_GRACE {
                    std::thread::sleep(DRAIN_POLL);
                    continue;
                }
                if !open.contains(&Activity::Failed) {
                    tracing::warn!("everything is committed, but some connections to Kafka were not closed in time");
                    break;
                }
            }
            let unfinished = Halt::kafka(format!(
                "the drain did not complete within {} (--drain-timeout); the open transactions are not committed, and the next start processes their records again",
                humantime::format_duration(timeout)
            ));
            return Drained { deadline, ended: Err(unfinished), left: workers };
        }
        std::thread::sleep(DRAIN_POLL);
    }
    let mut ended = Ok(());
    let (finished, left): (Workers, Workers) = workers.into_iter().partition(JoinHandle::is_finished);
    for worker in finished {
        let panicked = |_| Err(Halt::internal(anyhow::anyhow!("a worker panicked; see the error before")));
        ended = ended.and(worker.join().unwrap_or_else(panicked));
    }
    Drained { deadline, ended, left }
}

/// The activity of a worker that has not ended.
fn still_does(telemetry: &Telemetry, number: usize, worker: &JoinHandle<Result<(), Halt>>) -> Option<Activity> {
    (!worker.is_finished()).then(|| telemetry.workers.worker(number).activity().0)
}
