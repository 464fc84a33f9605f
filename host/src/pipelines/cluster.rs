//! Checks the Kafka of a pipeline before the first record.

use std::sync::Arc;
use std::time::Duration;

use crate::config::PipelineSpec;
use mapper_core::decision::Routes;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_kafka::setup::Setup;
use mapper_kafka::{Input, KafkaSettings};
use mapper_pipeline::PROVENANCE_BYTES;

/// The timeout of a request for the offsets that other hosts of the group have committed.
const ASK_OTHERS_TIMEOUT: Duration = Duration::from_secs(5);
/// The most input topics that are searched for dead letters at the start. The source checks the first records of every topic.
const MAX_SAMPLED_TOPICS: usize = 32;

/// Each partition of the ledger topic is one more partition of most transactions, and one carries the ledger of many hosts.
const LEDGER_PARTITIONS: u32 = 1;

/// The brokers of a pipeline, and whether their data outlives this process.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The brokers, as `host:port,…`.
    pub brokers: String,
    /// Whether topics, offsets and groups outlive the process. Those of an embedded broker do not, and it has no
    /// permissions.
    pub is_durable: bool,
}

/// The settings of the clients of a pipeline for this cluster.
pub fn settings(spec: &PipelineSpec, cluster: &Cluster) -> KafkaSettings {
    KafkaSettings {
        brokers: cluster.brokers.clone(),
        group: spec.group.clone(),
        delivery: spec.delivery,
        properties: spec.kafka.clone(),
        transaction_timeout: spec.transaction_timeout,
        session_timeout: spec.session_timeout,
        workers: spec.workers,
    }
}

/// The topics of a pipeline, as [`check`] found them.
pub struct CheckedTopics {
    /// The input topics that exist.
    pub inputs: Vec<String>,
    /// Missing topics that the pipeline will create.
    pub to_create: Vec<String>,
}

/// Checks that the topics of a pipeline exist or can be created, and that the pipeline may use them. It creates nothing.
///
/// # Errors
/// If a topic or a permission is missing.
pub fn check(spec: &PipelineSpec, cluster: &Cluster, shutdown: &Shutdown) -> Result<CheckedTopics, Halt> {
    if let Some(partitions) = spec.create_topics {
        let setup = Setup::connect(&settings(spec, cluster), spec.connect_timeout, shutdown)?;
        let written = spec.written_topics();
        let listed = spec.input_topics.names().iter().map(String::as_str);
        let missing = setup.missing_topics(written.iter().copied().chain(listed))?;
        if !missing.is_empty() {
            setup.create_topics(&missing, partitions, true)?;
            let exists = |topic: &str| !missing.contains(&topic);
            let mut inputs = setup.find_input_topics(&spec.input_topics)?;
            inputs.retain(|topic| exists(topic));
            let written: Vec<&str> = written.iter().copied().filter(|topic| exists(topic)).collect();
            setup.check_permissions(&inputs, &written)?;
            return Ok(CheckedTopics { inputs, to_create: missing.into_iter().map(str::to_owned).collect() });
        }
    }
    let spec = PipelineSpec { create_topics: None, until_end: false, ..spec.clone() };
    let kafka = Kafka::prepare(&spec, cluster, shutdown)?;
    // A run reads this topic, and does not depend on it.
    kafka.setup.check_compacted(&spec.state_topic)?;
    Ok(CheckedTopics { inputs: kafka.inputs, to_create: Vec::new() })
}

/// A connected Kafka whose topics and permissions were checked.
pub(super) struct Kafka {
    pub(super) settings: KafkaSettings,
    pub(super) routes: Arc<Routes>,
    /// The input topics at the start.
    pub(super) inputs: Vec<String>,
    pub(super) setup: Arc<Setup>,
}

impl Kafka {
    /// Connects, and checks the topics and permissions.
    pub(super) fn prepare(spec: &PipelineSpec, cluster: &Cluster, shutdown: &Shutdown) -> Result<Self, Halt> {
        let settings = settings(spec, cluster);
        let setup = Setup::connect(&settings, spec.connect_timeout, shutdown)?;
        let (outputs, written, ledger) = (spec.output_topics(), spec.written_topics(), spec.ledger_topic.as_deref());
        let listed = spec.input_topics.names().iter().map(String::as_str);
        let others = written.iter().copied().filter(|topic| Some(*topic) != ledger);
        setup.ensure_topics(others.chain(listed), spec.create_topics)?;
        setup.ensure_topics(ledger, spec.create_topics.map(|_| LEDGER_PARTITIONS))?;
        let inputs = setup.find_input_topics(&spec.input_topics)?;
        let routes = if cluster.is_durable {
            setup.check_permissions(&inputs, &written)?;
            if !spec.input_policy.input_is_dead_letters {
                inputs.iter().take(MAX_SAMPLED_TOPICS).try_for_each(|input| setup.reject_dead_letters(input))?;
            }
            setup.read_routes(&outputs, &spec.dead_letter_topic, ledger)?
        } else {
            // The embedded broker does not report its configuration.
            Routes::with_default_limits(&outputs, &spec.dead_letter_topic).with_ledger(ledger)
        };
        let added_bytes = if spec.swap.provenance { PROVENANCE_BYTES } else { 0 };
        let routes = Routes { added_bytes, ..routes };
        Ok(Self { settings, routes: Arc::new(routes), inputs, setup: Arc::new(setup) })
    }

    /// Whether the group has committed all records of a run with `--until-end`.
    pub(super) fn is_done(&self, input: &Input) -> bool {
        input.until.as_ref().is_some_and(|until| {
            let Ok(committed) = self.setup.read_committed(&until.partitions(), ASK_OTHERS_TIMEOUT) else {
                return false;
            };
            // Offsets beyond the end are those of deleted records, or there are newer records: the workers decide.
            until.done_by(&committed)
                && (until.covers(&committed) || {
                    let now = self.setup.read_end_offsets(&input.names(), &self.inputs);
                    now.is_ok_and(|now| now.covers(&committed))
                })
        })
    }
}
