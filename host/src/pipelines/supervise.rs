//! Waits for the workers of a pipeline, and drains them at the end.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cluster::Kafka;
use crate::config::PipelineSpec;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_pipeline::activity::Activity;
use mapper_telemetry::Telemetry;

/// How often it is asked whether another host of the group has done what is left of a run that ends by itself.
const ASK_OTHERS: Duration = Duration::from_secs(1);
/// How much longer than the drain timeout a worker may take to close its clients.
const CLOSING_GRACE: Duration = Duration::from_secs(8);
/// How often it is looked whether workers have ended.
const POLL: Duration = Duration::from_millis(20);
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// The threads of workers.
pub(super) type Workers = Vec<JoinHandle<Result<(), Halt>>>;

/// How the workers of a pipeline ended.
pub(super) struct Drained {
    /// When the drain timeout ends.
    pub(super) deadline: Instant,
    pub(super) ended: Result<(), Halt>,
    /// Workers that are still running.
    pub(super) left: Workers,
}

/// Waits for the workers. On a shutdown they get the drain timeout; what is not committed then is done again by whoever
/// runs next.
pub(super) fn supervise(
    workers: Workers,
    spec: &PipelineSpec,
    kafka: &Kafka,
    telemetry: &Telemetry,
    (shutdown, workers_end): (&Shutdown, &Shutdown),
) -> Drained {
    let mut asked = Instant::now();
    let is_over = || shutdown.requested() || workers_end.requested();
    while !is_over() && !workers.iter().all(JoinHandle::is_finished) {
        shutdown.sleep(POLL);
        if asked.elapsed() >= ASK_OTHERS {
            asked = Instant::now();
            if kafka.is_done(&spec.input_topic) {
                break;
            }
        }
    }
    telemetry.health.not_ready("end", "the host is ending: the work in hand is being finished and committed");
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
            // Nothing is left to commit, and closing has its own limit.
            if open.iter().all(|activity| matches!(activity, Activity::Leaving | Activity::Failed)) {
                if now < deadline + CLOSING_GRACE {
                    std::thread::sleep(DRAIN_POLL);
                    continue;
                }
                if !open.contains(&Activity::Failed) {
                    tracing::warn!("everything is committed; not all connections to Kafka could be closed in time");
                    break;
                }
            }
            let unfinished = Halt::kafka(format!(
                "the work in hand could not be finished within {} (--drain-timeout); it was not committed, so nothing is lost",
                humantime::format_duration(timeout)
            ));
            return Drained { deadline, ended: Err(unfinished), left: workers };
        }
        std::thread::sleep(DRAIN_POLL);
    }
    let mut ended = Ok(());
    let (finished, left): (Workers, Workers) = workers.into_iter().partition(JoinHandle::is_finished);
    for worker in finished {
        let panicked = |_| Err(Halt::internal(&anyhow::anyhow!("a worker panicked; what it said stands above")));
        ended = ended.and(worker.join().unwrap_or_else(panicked));
    }
    Drained { deadline, ended, left }
}

/// What a worker does that has not ended.
fn still_does(telemetry: &Telemetry, number: usize, worker: &JoinHandle<Result<(), Halt>>) -> Option<Activity> {
    (!worker.is_finished()).then(|| telemetry.workers.worker(number).activity().0)
}
