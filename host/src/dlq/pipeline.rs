//! The dead letters of a pipeline of this process.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mapper_core::shutdown::{Halt, Shutdown};
use mapper_kafka::PositionReader;
use mapper_runtime::{Effort, Engine, Grants, Plugin};
use mapper_state::claim::host_name;
use mapper_versions::uploads::Uploads;

use super::error::LetterError;
use super::states::{Access, reader_settings};
use crate::config::{
    AuditConfig, DEFAULT_MAX_ATTEMPTS, DlqTopics, GuestConfig, LetterFilter, LogConfig, LogFormat, PipelineSpec,
    RedriveConfig, StaleKeys,
};
use crate::letter_watch::LetterIndex;
use crate::pipelines::Cluster;
use crate::swap::candidate::refusal;

/// What the admin API needs to work with the dead letters of a pipeline.
pub struct PipelineLetters {
    spec: PipelineSpec,
    cluster: Cluster,
    /// The folder of compiled plugins.
    cache_dir: Option<PathBuf>,
    /// The plugins that are being sent.
    pub(crate) uploads: Uploads,
    /// What the host knows of them.
    pub(crate) index: Arc<LetterIndex>,
}

impl fmt::Debug for PipelineLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineLetters").field("topics", &self.topics()).finish_non_exhaustive()
    }
}

/// The options of a redrive or a try-out that a client gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct RedriveOptions {
    pub(crate) filter: LetterFilter,
    pub(crate) to_input: bool,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) limit: Option<u64>,
    pub(crate) rate: Option<f64>,
    pub(crate) batches: Vec<Option<u64>>,
    pub(crate) yes: bool,
    pub(crate) stale_keys: StaleKeys,
    pub(crate) stops_on_regression: bool,
    pub(crate) takes_over: bool,
}

impl PipelineLetters {
    pub fn new(spec: PipelineSpec, cluster: Cluster, cache_dir: Option<PathBuf>) -> Self {
        Self { spec, cluster, cache_dir, uploads: Uploads::default(), index: Arc::default() }
    }

    /// How long an ending host waits for the open transaction of a redrive.
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.spec.drain_timeout
    }

    /// What plugins of the pipeline may use.
    pub(crate) fn grants(&self) -> &Grants {
        &self.spec.grants
    }

    /// Loads a plugin with the settings and limits of the pipeline.
    ///
    /// # Errors
    /// If it can't be loaded, or `cancel` is requested.
    pub(crate) fn load(&self, bytes: &[u8], cancel: &Shutdown) -> Result<Arc<Plugin>, Halt> {
        let engine = Engine::with_cache(self.spec.limits, self.cache_dir.as_deref()).map_err(Halt::internal)?;
        let engine = Arc::new(engine.granting(self.spec.grants.clone()).cancelled_by(cancel));
        let plugin = Plugin::from_bytes(&engine, bytes, &self.spec.set, Effort::OneThread);
        plugin.map(Arc::new).map_err(|error| LetterError::Plugin(refusal(error)).into())
    }

    /// The configuration of a redrive or a try-out: the settings of the pipeline, and these options.
    pub(crate) fn redrive_config(&self, options: RedriveOptions) -> RedriveConfig {
        let spec = &self.spec;
        let guest = GuestConfig {
            set: spec.set.clone(),
            cache_dir: self.cache_dir.clone(),
            limits: spec.limits,
            grants: spec.grants.clone(),
            batch_records: spec.batch_records,
            log: host_log(),
        };
        RedriveConfig {
            filter: options.filter,
            outputs: spec.output_topics().into_iter().map(str::to_owned).collect(),
            schemas: spec.schemas.clone(),
            ledger: spec.ledger_topic.clone(),
            consumer_group: spec.group.clone(),
            guest,
            dead_letter_headers: spec.failures.dead_letter_headers,
            provenance: spec.swap.provenance,
            connect_timeout: spec.connect_timeout,
            transaction_timeout: spec.transaction_timeout,
            commit_interval: spec.commit_interval,
            commit_records: spec.commit_records,
            commit_bytes: spec.commit_bytes,
            max_attempts: options.max_attempts.unwrap_or(DEFAULT_MAX_ATTEMPTS),
            limit: options.limit,
            rate: options.rate,
            batches: options.batches,
            yes: options.yes,
            edited: None,
            stale_keys: options.stale_keys,
            stops_on_regression: options.stops_on_regression,
            takes_over: options.takes_over,
            json: false,
        }
    }

    /// Whether the pipeline has a ledger topic.
    pub(crate) fn has_ledger(&self) -> bool {
        self.spec.ledger_topic.is_some()
    }

    /// The configuration of an audit; `None` for a pipeline without a ledger. It keeps so many records in memory at most.
    pub(crate) fn audit_config(&self, since_ms: Option<i64>, max_kept_records: u64) -> Option<AuditConfig> {
        let spec = &self.spec;
        Some(AuditConfig {
            brokers: self.cluster.brokers.clone(),
            kafka: spec.kafka.clone(),
            connect_timeout: spec.connect_timeout,
            group: spec.group.clone(),
            input_topics: spec.input_topics.clone(),
            output_topics: spec.output_topics().into_iter().map(str::to_owned).collect(),
            dead_letter_topic: spec.dead_letter_topic.clone(),
            state_topic: spec.state_topic.clone(),
            ledger_topic: spec.ledger_topic.clone()?,
            provenance: spec.swap.provenance,
            since_ms,
            max_kept_records: Some(max_kept_records),
            json: false,
            log: host_log(),
        })
    }

    /// Connects to Kafka, and reads what has been done about the letters. `cancel` ends this and the scans.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub(crate) fn connect(&self, cancel: &Shutdown) -> Result<Access, Halt> {
        Access::connect_silently(&self.topics(), (cancel, cancel))
    }

    /// The same, for an operation that writes.
    ///
    /// # Errors
    /// If Kafka does not answer, or the broker is the embedded one, which has no compacted topics and no transactions.
    pub(crate) fn connect_to_write(&self, cancel: &Shutdown) -> Result<Access, Halt> {
        self.check_durable()?;
        self.connect(cancel)
    }

    /// The same for a redrive. `shutdown` ends the connection only: a redrive that is stopped releases its claim.
    ///
    /// # Errors
    /// As [`PipelineLetters::connect_to_write`].
    pub(crate) fn connect_to_redrive(&self, shutdown: &Shutdown) -> Result<Access, Halt> {
        self.check_durable()?;
        Access::connect_silently(&self.topics(), (shutdown, &Shutdown::default()))
    }

    fn check_durable(&self) -> Result<(), Halt> {
        if !self.cluster.is_durable {
            return Err(Halt::configuration(
                "nothing can be recorded about dead letters: the embedded broker of the demo has no compacted topics and no transactions. \
                 Run the host with --brokers LIST",
            ));
        }
        Ok(())
    }

    /// A reader of letters at known positions.
    pub(crate) fn position_reader(&self) -> PositionReader {
        let topics = self.topics();
        PositionReader::new(&reader_settings(&topics), &topics.dead_letters)
    }

    pub(crate) fn topics(&self) -> DlqTopics {
        DlqTopics {
            brokers: self.cluster.brokers.clone(),
            kafka: self.spec.kafka.clone(),
            connect_timeout: self.spec.connect_timeout,
            dead_letters: self.spec.dead_letter_topic.clone(),
            states: self.spec.state_topic.clone(),
        }
    }
}

/// The host has its own log.
fn host_log() -> LogConfig {
    LogConfig { format: LogFormat::Text, filter: String::new() }
}

/// Who decides and redrives over HTTP. The API knows no users.
pub(crate) fn who() -> String {
    format!("http@{}", host_name())
}
