//! One generation of a pipeline: loads the plugin, connects to Kafka, runs the workers and drains them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cluster::{Cluster, Kafka};
use super::input::{open_table, table_in_memory};
use super::registry::{Entry, State};
use super::supervise::{Drained, Workers, supervise};
use crate::committed;
use crate::config::PipelineSpec;
use crate::letter_watch::{Hints, LetterWatch, RedriveCommand};
use crate::schema_registry;
use crate::swap::candidate::PluginLoader;
use crate::swap::{ActivePlugin, Versions};
use crate::threads::spawn_watcher;
use crate::topics::{TopicReporter, TopicWatch};
use crate::worker::{self, Job};
use mapper_author::guest::build_if_absent;
use mapper_codec::Codec;
use mapper_core::identity::Identity;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_kafka::{InputContext, step_limits};
use mapper_pipeline::CommitPolicy;
use mapper_runtime::{Engine, Plugin};
use mapper_state::StateClaim;
use mapper_state::claim::random_transactional_id;
use mapper_state::in_flight::InFlightMarkers;
use mapper_telemetry::spans::{Spans, TracingConfig};
use mapper_telemetry::{GroupRegistry, Telemetry, Work};
use mapper_versions::Reload;

/// How often a record may be mapped before its verdict stands: with its batch, with its batch once more, and alone.
const ATTEMPTS: u32 = 3;

/// The resources that the pipelines of a process share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The folder of compiled plugins; `None` if this user has none.
    pub cache_dir: Option<PathBuf>,
    /// The state folder; `None` if nothing survives a restart.
    pub state_dir: Option<PathBuf>,
    /// The destination of spans; `None` without spans.
    pub tracing: Option<TracingConfig>,
    /// The groups of failures that the pipelines have seen.
    pub groups: Arc<GroupRegistry>,
}

/// The requests of the manager to a generation.
#[derive(Clone, Default)]
pub struct Signals {
    /// Requests a drain.
    pub shutdown: Shutdown,
    /// Requests a check of the plugin file.
    pub reload: Reload,
}

/// The end of a generation.
pub(super) struct Outcome {
    pub(super) ended: Result<(), Halt>,
    /// Workers that did not end within the drain timeout.
    pub(super) left: Workers,
}

impl From<Result<(), Halt>> for Outcome {
    fn from(ended: Result<(), Halt>) -> Self {
        Self { ended, left: Workers::new() }
    }
}

/// Runs until a shutdown, or until the end of the input with `--until-end`.
pub(super) fn run(
    spec: &PipelineSpec,
    shared: &Shared,
    cluster: &Cluster,
    entry: &Arc<Entry>,
    signals: &Signals,
) -> Outcome {
    let telemetry = &entry.telemetry;
    telemetry.set_known_groups(shared.groups.of_pipeline(&spec.name));
    telemetry.health.not_ready("start", "loading the plugin and connecting to Kafka");
    match prepare(spec, shared, cluster, &signals.shutdown) {
        Ok(Some(prepared)) => match prepared.job(spec, shared, cluster, entry, signals) {
            Ok(started) => started.run(spec, entry, signals),
            Err(halt) => Err(halt).into(),
        },
        Ok(None) => {
            tracing::info!("clean shutdown before the plugin was loaded");
            Ok(()).into()
        }
        Err(halt) => Err(halt).into(),
    }
}

/// The plugin and the cluster of a generation.
struct Prepared {
    engine: Arc<Engine>,
    plugin: Arc<Plugin>,
    kafka: Kafka,
    codec: Option<Arc<Codec>>,
    /// The workers end before the threads that watch them.
    workers_end: Shutdown,
}

/// Loads the plugin and connects to Kafka. `None`: a shutdown came first.
fn prepare(
    spec: &PipelineSpec,
    shared: &Shared,
    cluster: &Cluster,
    shutdown: &Shutdown,
) -> Result<Option<Prepared>, Halt> {
    build_if_absent(&spec.plugin)?;
    let workers_end = Shutdown::default();
    let here = tracing::Span::current();
    // Compiling and connecting both take time, so they run in parallel.
    let (plugin, kafka) = std::thread::scope(|scope| {
        let plugin =
            scope.spawn(|| here.in_scope(|| load(spec, shared.cache_dir.as_deref(), [shutdown, &workers_end])));
        let kafka = Kafka::prepare(spec, cluster, shutdown);
        (plugin.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), kafka)
    });
    if shutdown.requested() && plugin.is_err() {
        return Ok(None);
    }
    let ((engine, plugin), kafka) = (plugin?, kafka?);
    let codec = schema_registry::build_for(spec, shutdown)?;
    Ok(Some(Prepared { engine, plugin, kafka, codec, workers_end }))
}

/// Loads the plugin. Any of these shutdowns cancels its compilation, and that of later versions.
fn load(
    spec: &PipelineSpec,
    cache_dir: Option<&Path>,
    ends: [&Shutdown; 2],
) -> Result<(Arc<Engine>, Arc<Plugin>), Halt> {
    let engine = Engine::with_cache(spec.limits, cache_dir).map_err(Halt::internal)?;
    spec.grants.check().map_err(Halt::configuration)?;
    let engine = ends.into_iter().fold(engine.granting(spec.grants.clone()), Engine::cancelled_by);
    let engine = Arc::new(engine);
    let plugin = Plugin::load(&engine, &spec.plugin, &spec.set)?;
    Ok((engine, Arc::new(plugin)))
}

impl Prepared {
    /// Opens the state of earlier runs and creates the shared parts of the workers.
    fn job(
        self,
        spec: &PipelineSpec,
        shared: &Shared,
        cluster: &Cluster,
        entry: &Arc<Entry>,
        signals: &Signals,
    ) -> Result<Started, Halt> {
        let Self { engine, plugin, kafka, codec, workers_end } = self;
        let telemetry = &entry.telemetry;
        let identity = &plugin.identity;
        tracing::info!(
            plugin = identity.name,
            version = identity.version,
            digest = %identity.digest,
            brokers = kafka.settings.brokers,
            group = spec.group,
            delivery = %spec.delivery,
            workers = spec.workers,
            "running"
        );
        describe(spec, telemetry, identity);
        let claim = shared.state_dir.as_deref().and_then(|dir| claim(dir, &spec.group));
        let table = open_table(spec, &kafka.inputs, claim.as_deref());
        // Without the indexes of the topics, the files would be of other partitions.
        let (table, claim_of_files) = match table {
            Ok(table) => (Arc::new(table), claim.clone()),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "failed to keep the input topics; the history of versions ends with this process, and a record \
                    that crashes the host is not found"
                );
                (table_in_memory(&kafka.inputs), None)
            }
        };
        telemetry.about.set_topics(spec.input_topics.clone(), table.clone());
        let topics = spec.input_topics.to_string();
        let names = (topics.as_str(), spec.group.as_str());
        let spans = shared.tracing.as_ref().map(|tracing| Spans::start(tracing, names, &telemetry.spans)).transpose();
        let spans = spans
            .map_err(|error| Halt::new(Cause::Configuration, error.context("cannot send spans")))?
            .unwrap_or_default();
        let active = ActivePlugin::new(plugin.clone());
        entry.set_active_plugin(active.clone());
        entry.set_codec(codec.clone());
        let loader = PluginLoader {
            engine,
            settings: spec.set.to_vec(),
            plugin_file: spec.plugin.clone(),
            setup: kafka.setup.clone(),
            codec: codec.clone(),
            active: active.clone(),
            telemetry: telemetry.clone(),
        };
        let versions = Versions::open(
            (spec, table.clone()),
            claim_of_files.clone(),
            (plugin.clone(), loader),
            kafka.routes.clone(),
            signals.reload.clone(),
        );
        entry.set_versions(versions.control.clone());
        // Offsets of an embedded broker have no meaning for the next process.
        let markers = Arc::new(match claim_of_files.as_ref().filter(|_| cluster.is_durable) {
            Some(claim) => InFlightMarkers::open(claim, &table.names(), spec.failures.poison_after),
            None => InFlightMarkers::none(),
        });
        let journal = cluster.is_durable.then(|| versions.slot.journal.clone());
        let events = Arc::new(TopicReporter::new(telemetry.clone(), journal));
        let watch =
            cluster.is_durable.then(|| TopicWatch::new(kafka.setup.clone(), &spec.written_topics(), events.clone()));
        if let Some(watch) = &watch {
            watch.look();
        }
        let until = spec.until_end.then(|| kafka.setup.read_end_offsets(&table.names(), &kafka.inputs)).transpose()?;
        let context = InputContext {
            table,
            until: until.map(Arc::new),
            policy: spec.input_policy,
            written: spec.written_topics().into_iter().map(str::to_owned).collect(),
            events,
            markers: markers.clone(),
        };
        let input = kafka.setup.resolve_input(&spec.input_topics, &kafka.inputs, cluster.is_durable, context)?;
        let job = Job {
            input,
            routes: kafka.routes.clone(),
            kafka: kafka.settings.clone(),
            transactional_id: transactional_id(spec, claim.as_deref()),
            commit: CommitPolicy {
                interval: spec.commit_interval,
                records: spec.commit_records,
                bytes: spec.commit_bytes,
            },
            batch_records: spec.batch_records,
            failures: spec.failures.policy,
            dead_letter_headers: spec.failures.dead_letter_headers,
            markers,
            connect_timeout: spec.connect_timeout,
            plugin,
            codec: codec.clone(),
            spans: spans.clone(),
            leaves_group: cluster.is_durable,
            at_work: spec.workers.into(),
            slot: versions.slot.clone(),
            active_version: versions.active_version.clone(),
            provenance: spec.swap.provenance,
            telemetry: telemetry.clone(),
            shutdown: workers_end.clone(),
        };
        let topics = (spec.dead_letter_topic.as_str(), spec.state_topic.as_str());
        let index = entry.letters().map(|letters| letters.index.clone()).unwrap_or_default();
        let watch_letters = || LetterWatch::new(kafka.settings.clone(), topics, telemetry.clone(), index);
        let letters = cluster.is_durable.then(watch_letters);
        let command = RedriveCommand::new(spec, &cluster.brokers);
        let hints = Hints { active, codec, routes: kafka.routes.clone(), command };
        let letters = letters.flatten().map(|letters| (letters, hints));
        Ok(Started { job: Arc::new(job), kafka, versions, watch, letters, spans, workers_end, _claim: claim })
    }
}

/// The slot of this pipeline in the state folder. Without one, it keeps nothing over a restart.
fn claim(dir: &Path, group: &str) -> Option<Arc<StateClaim>> {
    StateClaim::open(dir, group)
        .inspect_err(|error| {
            tracing::warn!(
                error = format!("{error:#}"),
                "nothing is kept in the state folder: the history of versions ends with this process, a record that crashes the host is \
                 not found, and a generated transactional id is a new one: after a crash, consumers of the output wait for the \
                 transaction timeout"
            );
        })
        .ok()
        .map(Arc::new)
}

/// The prefix of the transactional ids of the workers.
fn transactional_id(spec: &PipelineSpec, claim: Option<&StateClaim>) -> String {
    if let Some(id) = &spec.transactional_id {
        return id.clone();
    }
    let Some(claim) = claim else { return random_transactional_id(&spec.group) };
    claim.transactional_id().unwrap_or_else(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "the transactional id is a new one; after a crash, consumers of the output wait for the transaction timeout"
        );
        random_transactional_id(&spec.group)
    })
}

/// What a pipeline works on.
pub(crate) fn work(spec: &PipelineSpec) -> Work {
    Work {
        delivery: spec.delivery.to_string(),
        group: spec.group.clone(),
        input_topic: spec.input_topics.to_string(),
        output_topics: spec.output_topics().into_iter().map(str::to_owned).collect(),
        dead_letter_topic: spec.dead_letter_topic.clone(),
    }
}

/// Describes the pipeline in its telemetry. It is not ready yet.
fn describe(spec: &PipelineSpec, telemetry: &Telemetry, plugin: &Identity) {
    telemetry.about.set_work(work(spec));
    telemetry.about.set_plugin(plugin.clone(), spec.plugin.clone());
    let mapping = spec.limits.record_timeout * spec.batch_records as u32 * ATTEMPTS;
    telemetry.workers.set_limits(step_limits(spec.connect_timeout, mapping, spec.transaction_timeout));
    (0..spec.workers).for_each(|worker| telemetry.workers.set_member(&telemetry.health, worker, false));
}

/// A pipeline whose workers can be started.
struct Started {
    job: Arc<Job>,
    kafka: Kafka,
    versions: Versions,
    watch: Option<TopicWatch>,
    letters: Option<(LetterWatch, Hints)>,
    spans: Spans,
    workers_end: Shutdown,
    /// The slot of this host is its own until its workers have ended.
    _claim: Option<Arc<StateClaim>>,
}

impl Started {
    fn run(self, spec: &PipelineSpec, entry: &Entry, signals: &Signals) -> Outcome {
        let Self { job, kafka, versions, watch, letters, spans, workers_end, _claim } = self;
        let (telemetry, shutdown) = (&entry.telemetry, &signals.shutdown);
        let watchers_end = Shutdown::default();
        let here = tracing::Span::current();
        let outcome = std::thread::scope(|scope| {
            let run = || -> Result<Outcome, Halt> {
                let failed = |error| Halt::internal(anyhow::Error::new(error).context("starting a thread"));
                let ask = || {
                    here.in_scope(|| {
                        let unready_after = spec.kafka_unready_after;
                        committed::follow(&kafka.setup, telemetry, unready_after, &watchers_end);
                    });
                };
                spawn_watcher(scope, "committed", &telemetry.threads, ask).map_err(failed)?;
                if let Some(watch) = &watch {
                    let follow = || here.in_scope(|| watch.follow(&watchers_end));
                    spawn_watcher(scope, "topics", &telemetry.threads, follow).map_err(failed)?;
                }
                if let Some((letters, hints)) = &letters {
                    let follow = || here.in_scope(|| letters.run(&watchers_end));
                    spawn_watcher(scope, "dead-letters", &telemetry.threads, follow).map_err(failed)?;
                    let test = || here.in_scope(|| hints.run(letters, &watchers_end));
                    spawn_watcher(scope, "redrive-hints", &telemetry.threads, test).map_err(failed)?;
                }
                // Before the workers: a pipeline that cannot swap does not run.
                let swapping = versions.start(scope, &workers_end, telemetry).map_err(failed)?;
                telemetry.health.ready("start");
                entry.set_state(State::Running);
                // Members that join and leave immediately cost the group a rebalance. Without records to map, no worker joins.
                let has_work = !shutdown.requested() && !kafka.is_done(&job.input);
                let workers = if has_work { worker::start(&job) } else { Ok(Vec::new()) };
                let workers = workers.map_err(|error| {
                    workers_end.request();
                    Halt::internal(error)
                })?;
                let ends = (shutdown, &workers_end);
                let Drained { deadline, ended, left } = supervise(workers, spec, (&kafka, &job.input), telemetry, ends);
                let swapped = swapping.end(deadline);
                Ok(Outcome { ended: ended.and(swapped), left })
            };
            let outcome = run().unwrap_or_else(|halt| Err(halt).into());
            // Even if not all threads could be started.
            workers_end.request();
            watchers_end.request();
            outcome
        });
        spans.finish();
        outcome
    }
}
