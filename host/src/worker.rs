//! The workers. Each is a thread with its own consumer, producer and instance. They share the compiled plugin and nothing else
//! of the record path.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::Delivery;
use crate::schema_registry::PipelineMapper;
use mapper_codec::{Codec, CodecMapper};
use mapper_core::dead_letter::{DeadLetters, HeaderSet, Origin};
use mapper_core::decision::Routes;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_kafka::{Input, KafkaSettings, KafkaSink, KafkaSource};
use mapper_pipeline::activity::Activity;
use mapper_pipeline::{
    CommitPolicy, Driver, FailurePolicy, LedgerNames, Observers, Parts, Settings, SinkError, SystemClock,
};
use mapper_runtime::{Plugin, PluginMapper};
use mapper_state::claim::host_name;
use mapper_state::in_flight::{InFlightMarkers, WorkerMarker};
use mapper_telemetry::spans::Spans;
use mapper_telemetry::{StepTrace, Telemetry, TelemetryObserver};
use mapper_versions::{ActiveVersion, Slot, WorkerSlot};

/// The shared parts of the workers of a pipeline.
pub struct Job {
    /// The input topic, and where to end.
    pub input: Arc<Input>,
    /// The topics of outputs, dead letters and the ledger.
    pub routes: Arc<Routes>,
    /// The settings of the clients.
    pub kafka: KafkaSettings,
    /// The first part of the transactional ids; the worker's number is the second.
    pub transactional_id: String,
    /// The limits of a transaction.
    pub commit: CommitPolicy,
    /// The most records of a batch.
    pub batch_records: usize,
    /// The policy for failed records.
    pub failures: FailurePolicy,
    /// The headers of dead letters.
    pub dead_letter_headers: HeaderSet,
    /// The in-flight markers.
    pub markers: Arc<InFlightMarkers>,
    /// The time limit of the first connection.
    pub connect_timeout: Duration,
    /// The first plugin.
    pub plugin: Arc<Plugin>,
    /// The codec of the pipeline, if it has one.
    pub codec: Option<Arc<Codec>>,
    /// Creates spans.
    pub spans: Spans,
    /// Whether the group exists longer than this process, so that workers must leave it.
    pub leaves_group: bool,
    /// The number of workers before their last commit.
    pub at_work: AtomicUsize,
    /// The slot of later versions.
    pub slot: Arc<Slot<PipelineMapper>>,
    /// The first version.
    pub active_version: Arc<ActiveVersion>,
    /// Whether outputs have headers with their version.
    pub provenance: bool,
    /// The telemetry of the pipeline.
    pub telemetry: Arc<Telemetry>,
    /// The shutdown of the workers.
    pub shutdown: Shutdown,
}

/// Starts all workers. If one of them fails, all end.
///
/// # Errors
/// If a thread cannot be started.
pub fn start(job: &Arc<Job>) -> anyhow::Result<Vec<JoinHandle<Result<(), Halt>>>> {
    let worker = |number| {
        let (job, here) = (job.clone(), tracing::Span::current());
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let _here = here.enter();
            let mut end = WorkerEnd { job: &job, number, ended: Activity::Failed };
            let ended = work(&job, number);
            if ended.is_ok() {
                end.ended = Activity::Ended;
            }
            ended
        })
    };
    Ok((0..job.kafka.workers).map(worker).collect::<Result<Vec<_>, _>>()?)
}

/// Records the end of a worker, even after a panic. A failed worker ends the others, too.
struct WorkerEnd<'a> {
    job: &'a Job,
    number: usize,
    ended: Activity,
}

impl Drop for WorkerEnd<'_> {
    fn drop(&mut self) {
        self.job.telemetry.workers.worker(self.number).set_activity(self.ended);
        if self.ended == Activity::Failed {
            self.job.shutdown.request();
        }
    }
}

fn work(job: &Job, number: usize) -> Result<(), Halt> {
    // It is dropped in any case: a swap must not wait for an ended worker.
    let versions = WorkerSlot::new(job.slot.clone(), number, job.active_version.clone());
    let source = KafkaSource::new(&job.kafka, job.input.clone(), job.telemetry.source_observer(number));
    let source = source.map_err(|error| {
        Halt::new(Cause::Configuration, anyhow::Error::new(error).context("failed to create the consumer"))
    })?;
    let transactional_id =
        (job.kafka.delivery == Delivery::ExactlyOnce).then(|| format!("{}-{number}", job.transactional_id));
    let topics = (job.input.clone(), job.routes.clone());
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
        plugin_name: identity.name.clone(),
        plugin_version: identity.version.clone(),
        plugin_digest: identity.digest.to_string(),
        contract: identity.contract,
    };
    let settings = Settings {
        worker: number,
        topic: job.input.topics.to_string().into(),
        routes: job.routes.clone(),
        ledger: LedgerNames { group: job.kafka.group.clone(), host: host_name() },
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
    let mapper = PluginMapper::new(job.plugin.clone()).observed_by(job.telemetry.guest_observer(number));
    let parts = Parts {
        source,
        mapper: CodecMapper::new(mapper, job.codec.as_deref()),
        sink,
        versions,
        in_flight: Box::new(WorkerMarker::new(job.markers.clone(), number)),
        observer: Box::new(observers),
        clock: Arc::new(SystemClock),
        dead_letters: DeadLetters::new(origin, job.dead_letter_headers, job.routes.dead_letters.limits.clone()),
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
    job.telemetry.workers.worker(number).set_activity(leaves);
    if ended.is_err() {
        // Before the worker leaves the group: another worker would get its partitions and map the records after the failure.
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
