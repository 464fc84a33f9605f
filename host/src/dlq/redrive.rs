//! Maps letters again. Outputs, new letters and resolutions are in one transaction.

mod claim;
mod cut_records;
mod letter;
mod plan;
mod plugin_source;
mod progress;
pub(crate) mod reporter;
mod return_mapper;
mod sink;
mod source;
mod stale;
mod terminal;
pub(crate) mod try_out;
mod version;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mapper_api::redrives::LeftOutLetters;
use mapper_author::Outcome;
use mapper_core::dead_letter::{DeadLetters, Origin};
use mapper_core::decision::Routes;
use mapper_core::identity::{ActiveVersion, Version};
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_kafka::KafkaSink;
use mapper_pipeline::contracts::Mapper;
use mapper_pipeline::{
    BreakerRecords, BreakerSettings, CommitPolicy, Driver, FailurePolicy, LedgerNames, Observers, PROVENANCE_BYTES,
    Parts, Settings, SinkError, SystemClock,
};
use mapper_runtime::{CONTRACT_VERSION, Plugin, PluginMapper};
use mapper_state::in_flight::{InFlightMarkers, WorkerMarker};
use mapper_telemetry::StepTrace;

use super::states::{Access, who};
use crate::config::{RedriveConfig, RedriveTarget, StaleKeys};
use crate::schema_registry;
use mapper_codec::CodecMapper;
use plan::Plan;
use progress::{Progress, RedriveObserver};
use reporter::RedriveReporter;
use return_mapper::ReturnMapper;
use sink::{RedriveRoutes, RedriveSink, Redriver, TransactionCounts};
use source::{InPipeline, LetterSource};
use stale::NewestOutputs;
use terminal::TerminalReporter;
use version::FixedVersion;

/// A plugin that fails on so many records in a row is broken: the redrive stops.
const BREAKER_AFTER: u32 = 100;

/// `dlq redrive`.
///
/// # Errors
/// If Kafka or the plugin fails, or another redrive runs.
pub(super) fn redrive(
    access: Access,
    config: &RedriveConfig,
    target: &RedriveTarget,
    shutdown: &Shutdown,
) -> Result<Outcome, Halt> {
    let plugin = match target {
        RedriveTarget::Map(version) => Some(plugin_source::load(&config.guest, version)?),
        RedriveTarget::Return => None,
    };
    redrive_with(access, config, plugin, (Box::new(TerminalReporter::new(config)), who()), shutdown)
}

/// Redrives letters with a plugin; without one, it sends their records to their input topics. `by` is who redrives.
///
/// # Errors
/// If Kafka or the plugin fails, or another redrive runs.
pub(crate) fn redrive_with(
    access: Access,
    config: &RedriveConfig,
    plugin: Option<Arc<Plugin>>,
    (mut reporter, by): (Box<dyn RedriveReporter>, String),
    shutdown: &Shutdown,
) -> Result<Outcome, Halt> {
    if let Some(plugin) = plugin {
        let version = Version::from(&plugin.identity);
        let active = ActiveVersion { term: 0, version, contract: plugin.identity.contract };
        let outputs: Vec<&str> = config.outputs.iter().map(String::as_str).collect();
        let codec = schema_registry::build_for_redrive(config, shutdown)?;
        let mapper = CodecMapper::new(PluginMapper::new(plugin), codec.as_deref());
        return run(access, config, &outputs, (mapper, active, true), (reporter, by), shutdown);
    }
    // The first pass finds the topics.
    let sources = Plan::read(&access, &config.filter, config.max_attempts)?.sources;
    let outputs: Vec<&str> = sources.iter().map(String::as_str).collect();
    if outputs.is_empty() {
        reporter.nothing_selected();
        return Ok(Outcome::Success);
    }
    let text = |text: &str| text.to_owned();
    let version = Version { name: text("return"), version: text("-"), digest: text("-") };
    let active = ActiveVersion { term: 0, version, contract: CONTRACT_VERSION };
    run(access, config, &outputs, (ReturnMapper, active, false), (reporter, by), shutdown)
}

fn run<M: Mapper>(
    mut access: Access,
    config: &RedriveConfig,
    outputs: &[&str],
    (mut mapper, active, is_mapped): (M, ActiveVersion, bool),
    (mut reporter, by): (Box<dyn RedriveReporter>, String),
    shutdown: &Shutdown,
) -> Result<Outcome, Halt> {
    access.setup().ensure_compacted(&access.states)?;
    claim::check(&access, config.takes_over)?;
    access.setup().ensure_topics(outputs.iter().copied(), None)?;
    let routes = access.setup().read_routes(outputs, &access.dead_letters, None)?;
    let added_bytes = if config.provenance { PROVENANCE_BYTES } else { 0 };
    let routes = Routes { added_bytes, ..routes };
    let all_routes = routes.clone().with_ledger(config.ledger.as_deref()).with_states(&access.states);
    let positions = RedriveRoutes {
        dead_letters: all_routes.dead_letter_index(),
        states: all_routes.state_index().unwrap_or_default(),
        ledger: all_routes.ledger_index(),
    };
    let id = format!("mapper-host-redrive-{}", access.dead_letters);
    let kafka = access.kafka_settings(config.transaction_timeout);
    let mut inner = KafkaSink::without_group(kafka, id, &all_routes, shutdown.clone());
    inner.connect_within(config.connect_timeout).map_err(halt)?;
    let mut claim = claim::new(by.clone());
    let claimed = sink::claim(&mut inner, positions.states, &mut claim);
    claimed.map_err(halt)?;
    reporter.claimed();
    // Transactions of a redrive that died are ended now, so this is all that it has done.
    access.update()?;
    let plan = Plan::read(&access, &config.filter, config.max_attempts)?;
    let total = plan.total.min(config.limit.unwrap_or(u64::MAX));
    let newest = match config.stale_keys {
        StaleKeys::Allow => NewestOutputs::new(),
        StaleKeys::Warn | StaleKeys::Skip => stale::find(&access, &plan, outputs)?,
    };
    let in_pipeline = InPipeline::default();
    let transaction = Rc::new(RefCell::new(TransactionCounts::default()));
    let mut sink = RedriveSink {
        inner,
        access: &access,
        plan: &plan,
        routes: positions,
        topics: all_routes.all().map(|route| route.topic.clone()).collect(),
        redriver: Redriver {
            by,
            group: config.consumer_group.clone(),
            version: is_mapped.then(|| active.version.digest.clone()),
            claim,
        },
        in_pipeline: in_pipeline.clone(),
        transaction: transaction.clone(),
    };
    let mut source = LetterSource::open(
        &access,
        &config.filter,
        (&plan, config.max_attempts),
        (newest, config.stale_keys == StaleKeys::Skip),
        config.rate,
        in_pipeline,
    )?;
    source.edited.clone_from(&config.edited);
    let progress = Rc::new(RefCell::new(Progress::start(total, reporter)));
    let pipeline = Pipeline { config, routes: Arc::new(routes), active, shutdown };
    let mut ended = Ok(());
    for stage in stages(&config.batches, total) {
        source.left = stage;
        let observer = RedriveObserver {
            progress: progress.clone(),
            transaction: transaction.clone(),
            known: plan.known.clone(),
            stop: config.stops_on_regression.then(|| shutdown.clone()),
        };
        let mut driver = pipeline.driver(source, mapper, sink, observer);
        ended = driver.run();
        (source, mapper, sink) = driver.into_parts();
        let is_last = source.is_exhausted() || progress.borrow().done + source.recovered >= total;
        if ended.is_err() || shutdown.requested() || is_last || !may_continue(config, &progress) {
            break;
        }
        // The question can take longer than the claim lasts.
        sink.claim(false).map_err(halt)?;
    }
    let is_stopped =
        ended.is_err() || progress.borrow().done + source.recovered < total.saturating_sub(source.left_out());
    let left_out = LeftOutLetters { exhausted: plan.exhausted, lost: source.lost, stale: source.stale };
    progress.borrow_mut().end(is_stopped, left_out);
    // After an error of Kafka, another redrive may have the transactional id. A new producer would end that one.
    let is_own = ended.as_ref().err().is_none_or(|halt| halt.cause != Cause::Kafka);
    let released = if is_own { sink.claim(true) } else { Ok(()) };
    sink.inner.close();
    ended?;
    released.map_err(halt)?;
    let has_failed = progress.borrow().counts.dead_letters() > 0;
    Ok(if has_failed { Outcome::RecordsFailed } else { Outcome::Success })
}

fn halt(error: SinkError) -> Halt {
    match error {
        SinkError::Fatal(halt) => halt,
        other => Halt::kafka(other.to_string()),
    }
}

/// The numbers of letters of each stage.
fn stages(batches: &[Option<u64>], total: u64) -> Vec<u64> {
    let mut left = total;
    let mut stages = Vec::new();
    for batch in batches.iter().copied().chain([None]) {
        let stage = batch.unwrap_or(left).min(left);
        if stage > 0 {
            stages.push(stage);
        }
        left -= stage;
    }
    stages
}

/// Whether the next stage may begin. Asks, unless the answer is given by `--yes`.
fn may_continue(config: &RedriveConfig, progress: &RefCell<Progress>) -> bool {
    let mut progress = progress.borrow_mut();
    if config.yes { progress.new_groups.is_empty() } else { progress.may_continue() }
}

/// The parts of the pipeline that all stages share.
struct Pipeline<'c> {
    config: &'c RedriveConfig,
    routes: Arc<Routes>,
    active: ActiveVersion,
    shutdown: &'c Shutdown,
}

impl Pipeline<'_> {
    fn driver<S, K, M>(&self, source: S, mapper: M, sink: K, observer: RedriveObserver) -> Driver<S, K, FixedVersion<M>>
    where
        S: mapper_pipeline::contracts::Source,
        K: mapper_pipeline::contracts::Sink,
        M: Mapper,
    {
        let Self { config, routes, active, shutdown } = self;
        let origin = Origin {
            group: "mapper-host-redrive".to_owned(),
            worker: 0,
            plugin_name: active.version.name.clone(),
            plugin_version: active.version.version.clone(),
            plugin_digest: active.version.digest.clone(),
            contract: active.contract,
        };
        let settings = Settings {
            worker: 0,
            topic: routes.dead_letters.topic.clone(),
            routes: routes.clone(),
            commit: CommitPolicy {
                interval: config.commit_interval,
                records: config.commit_records,
                bytes: config.commit_bytes,
            },
            batch_records: config.guest.batch_records,
            provenance: config.provenance,
            failures: FailurePolicy {
                halt_on_error_ratio: None,
                error_ratio_window: 1000,
                breaker: BreakerSettings {
                    after: BREAKER_AFTER,
                    records: BreakerRecords::Hold,
                    retry: Duration::from_secs(1),
                },
            },
            ends_by_itself: true,
            ledger: LedgerNames::default(),
        };
        let parts = Parts {
            source,
            mapper,
            sink,
            versions: FixedVersion::new(active.clone()),
            in_flight: Box::new(WorkerMarker::new(Arc::new(InFlightMarkers::none()), 0)),
            observer: Box::new(Observers::default().and(StepTrace::new(0)).and(observer)),
            clock: Arc::new(SystemClock),
            dead_letters: DeadLetters::new(origin, config.dead_letter_headers, routes.dead_letters.limits.clone()),
            shutdown: (*shutdown).clone(),
        };
        Driver::new(parts, &settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_cover_all_letters_once() {
        for (batches, total, expected) in [
            (&[][..], 5, &[5][..]),
            (&[Some(1), Some(10), None], 100, &[1, 10, 89]),
            (&[Some(10), Some(10)], 15, &[10, 5]),
            (&[Some(10), Some(10)], 25, &[10, 10, 5]),
            (&[Some(10)], 0, &[]),
        ] {
            assert_eq!(stages(batches, total), expected, "{batches:?} of {total}");
        }
    }
}
