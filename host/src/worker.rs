//! The workers: one thread each, with its own consumer, producer and instance. They share the compiled plugin, and nothing
//! of the record path.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::Delivery;
use mapper_core::dead_letter::{DeadLetters, Origin};
use mapper_core::decision::Routes;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_kafka::{InputTopic, KafkaSettings, KafkaSink, KafkaSource};
use mapper_pipeline::activity::Activity;
use mapper_pipeline::{CommitPolicy, Driver, FailurePolicy, Observers, Parts, Settings, SinkError, SystemClock};
use mapper_runtime::{Plugin, PluginMapper};
use mapper_state::in_flight::{InFlightMarkers, WorkerMarker};
use mapper_telemetry::spans::Spans;
use mapper_telemetry::{StepTrace, Telemetry, TelemetryObserver};
use mapper_versions::{ActiveVersion, Slot, WorkerSlot};

/// What the workers of a process have in common.
pub struct Job {
    /// The input topic, and where to end.
    pub input: Arc<InputTopic>,
    /// Where records go.
    pub routes: Arc<Routes>,
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// The first part of the transactional ids; the worker's number is the second.
    pub transactional_id: String,
    /// When to commit.
    pub commit: CommitPolicy,
    /// The most records of a batch.
    pub batch_records: usize,
    /// What is done about failures.
    pub failures: FailurePolicy,
    /// Where it is written down what the plugin is given.
    pub markers: Arc<InFlightMarkers>,
    /// How long to try to reach Kafka at the start.
    pub connect_timeout: Duration,
    /// The mapper to begin with.
    pub plugin: Arc<Plugin>,
    /// What makes spans.
    pub spans: Spans,
    /// Whether the group lasts longer than this process, so that it must be left.
    pub leaves_group: bool,
    /// Workers that have not made their last commit.
    pub at_work: AtomicUsize,
    /// Where other versions of it come from.
    pub slot: Arc<Slot<PluginMapper>>,
    /// The version to begin with.
    pub active_version: Arc<ActiveVersion>,
    /// Whether outputs say which version made them.
    pub provenance: bool,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// How the workers are asked to end.
    pub shutdown: Shutdown,
}

/// Starts all workers. When one of them has to stop, all are asked to.
///
/// # Errors
/// When no thread can be started.
pub fn start(job: &Arc<Job>) -> anyhow::Result<Vec<JoinHandle<Result<(), Halt>>>> {
    let worker = |number| {
        let (job, here) = (job.clone(), tracing::Span::current());
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let _here = here.enter();
            let mut last = LastWords { job: &job, number, ended: Activity::Failed };
            let ended = work(&job, number);
            if ended.is_ok() {
                last.ended = Activity::Ended;
            }
            ended
        })
    };
    Ok((0..job.kafka.workers).map(worker).collect::<Result<Vec<_>, _>>()?)
}

/// Says how a worker ended, even one that panics; unless it was as asked, the others are asked to end as well.
struct LastWords<'a> {
    job: &'a Job,
    number: usize,
    ended: Activity,
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        self.job.telemetry.workers.worker(self.number).does(self.ended);
        if self.ended == Activity::Failed {
            self.job.shutdown.request();
        }
    }
}

fn work(job: &Job, number: usize) -> Result<(), Halt> {
    // Dropped whatever happens: whoever swaps must not wait for a worker that is gone.
    let versions = WorkerSlot::new(job.slot.clone(), number, job.active_version.clone());
    let topic = &job.input.topic;
    let source = KafkaSource::new(&job.kafka, job.input.clone(), job.telemetry.source_observer(number));
    let source = source.map_err(|error| Halt::configuration(format!("the consumer can't be made: {error}")))?;
    let transactional_id =
        (job.kafka.delivery == Delivery::ExactlyOnce).then(|| format!("{}-{number}", job.transactional_id));
    let topics = (topic.clone(), job.routes.clone());
    let mut sink = KafkaSink::new(job.kafka.clone(), transactional_id, topics, source.member(), job.shutdown.clone());
    if let Err(trouble) = sink.connect_within(job.connect_timeout) {
        let ended = if let SinkError::Fatal(halt) = trouble { Err(halt) } else { Ok(()) };
        leave(job, number, (source, sink), &ended);
        return ended;
    }
    let identity = &job.plugin.identity;
    let origin = Origin {
        group: job.kafka.group.clone(),
        worker: number,
        topic: topic.to_string(),
        plugin_name: identity.name.clone(),
        plugin_version: identity.version.clone(),
        plugin_digest: identity.digest.to_string(),
        contract: identity.contract,
    };
    let settings = Settings {
        worker: number,
        topic: topic.clone(),
        routes: job.routes.clone(),
        commit: job.commit,
        batch_records: job.batch_records,
        failures: job.failures,
        ends_by_itself: job.input.until.is_some(),
        provenance: job.provenance,
    };
    let observers = Observers::default()
        .and(StepTrace::new(number))
        .and(TelemetryObserver::new(job.telemetry.clone(), number))
        .and(job.spans.of_worker(number));
    let parts = Parts {
        source,
        mapper: PluginMapper::new(job.plugin.clone()).observed_by(job.telemetry.guest_observer(number)),
        sink,
        versions,
        in_flight: Box::new(WorkerMarker::new(job.markers.clone(), number)),
        observer: Box::new(observers),
        clock: Arc::new(SystemClock),
        dead_letters: DeadLetters::new(origin, job.routes.dead_letters.limits.clone()),
        shutdown: job.shutdown.clone(),
    };
    let mut driver = Driver::new(parts, &settings);
    let ended = driver.run();
    let (source, _, sink) = driver.into_parts();
    leave(job, number, (source, sink), &ended);
    ended
}

/// Closes the clients of a worker that has ended.
fn leave(job: &Job, number: usize, (source, sink): (KafkaSource, KafkaSink), ended: &Result<(), Halt>) {
    job.at_work.fetch_sub(1, Ordering::AcqRel);
    let leaves = if ended.is_ok() { Activity::Leaving } else { Activity::Failed };
    job.telemetry.workers.worker(number).does(leaves);
    if ended.is_err() {
        // Before it leaves the group: another worker would get its partitions, and do what is to be left undone.
        job.shutdown.request();
    } else if job.leaves_group {
        source.finish_joining();
    }
    // It has the consumer, too.
    sink.close();
    if job.leaves_group {
        source.close();
    } else {
        source.leave_last(|| job.at_work.load(Ordering::Acquire) == 0);
    }
}
