//! Renders the metrics in the text format of Prometheus or of OpenMetrics 1.0.
//!
//! Names and units follow the conventions of Prometheus. Labels are pipelines, workers, configured topics, partitions, kinds and
//! reasons. No label has values that records or guests choose without a limit.

mod dead_letters;
mod format;

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use mapper_pipeline::guest::Renewal;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::alerts::AlertCounts;
use crate::{Telemetry, WorkerPosition, process};

pub use format::Format;

/// The prefix of the metrics of the host. The metrics of the process have their standard names.
const PREFIX: &str = "mapper_host";

/// The state of the process for its metrics.
#[derive(Debug, Clone)]
pub struct ProcessSample {
    /// When it started.
    pub started: DateTime<Utc>,
    /// Whether the present settings file could not be applied.
    pub has_config_error: bool,
    /// The posts to the alert webhook.
    pub alerts: Arc<AlertCounts>,
}

/// The state of a pipeline for its metrics.
#[derive(Debug, Clone)]
pub struct PipelineSample {
    /// The name: the value of the label `pipeline`.
    pub name: String,
    /// How often it was started.
    pub generation: u64,
    /// Whether it is ready.
    pub is_ready: bool,
    /// The active plugin; `None` until it is loaded.
    pub plugin: Option<PluginLabels>,
    /// Swaps of the plugin.
    pub swaps: SwapSample,
    /// Its telemetry.
    pub telemetry: Arc<Telemetry>,
}

/// The labels of the active plugin. A plugin chooses its name and its version: they are escaped for a terminal.
#[derive(Debug, Clone)]
pub struct PluginLabels {
    pub name: String,
    pub version: String,
    pub digest: String,
    pub contract: &'static str,
}

/// Counts of swaps, each list with all values of its label.
#[derive(Debug, Clone)]
pub struct SwapSample {
    /// All swaps, by outcome.
    pub by_outcome: Vec<(&'static str, u64)>,
    /// Refused swaps, by step.
    pub refused_by_step: Vec<(&'static str, u64)>,
    /// Rollbacks, by what started them.
    pub rollbacks_by_trigger: Vec<(&'static str, u64)>,
}

/// Renders all metrics in the format of OpenMetrics.
///
/// # Errors
/// If the text cannot be written.
pub fn render(process: ProcessSample, pipelines: Vec<PipelineSample>) -> Result<String, Error> {
    let mut metrics = Registry::default();
    let started = process.started;
    metrics.sub_registry_with_prefix(PREFIX).register_collector(Box::new(HostCollector { process, pipelines }));
    metrics.sub_registry_with_prefix("process").register_collector(Box::new(ProcessCollector(started)));
    let mut text = String::new();
    encode(&mut text, &metrics)?;
    Ok(text)
}

/// The labels of a sample.
type Labels = Vec<(&'static str, String)>;

/// The label of the pipeline, followed by further labels.
fn labels<const N: usize>(pipeline: &PipelineSample, more: [(&'static str, String); N]) -> Labels {
    [("pipeline", pipeline.name.clone())].into_iter().chain(more).collect()
}

/// Writes metrics, one family after the other.
struct Families<'e, 'p> {
    encoder: DescriptorEncoder<'e>,
    pipelines: &'p [PipelineSample],
}

impl Families<'_, '_> {
    /// A counter that each pipeline has.
    fn counter(&mut self, name: &str, help: &str, value: impl Fn(&PipelineSample) -> u64) -> Result<(), Error> {
        self.counters(name, help, |pipeline| vec![(labels(pipeline, []), value(pipeline))])
    }

    /// Counters of which each pipeline has some.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        all: impl Fn(&PipelineSample) -> Vec<(Labels, u64)>,
    ) -> Result<(), Error> {
        let none: Option<&Exemplar<NoLabelSet, f64>> = None;
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in self.pipelines.iter().flat_map(&all) {
            family.encode_family(&labels)?.encode_counter(&value, none)?;
        }
        Ok(())
    }

    /// A gauge that each pipeline has.
    fn gauge(&mut self, name: &str, help: &str, value: impl Fn(&PipelineSample) -> f64) -> Result<(), Error> {
        self.gauges(name, help, None, |pipeline| vec![(labels(pipeline, []), value(pipeline))])
    }

    /// Gauges of which each pipeline has some.
    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        all: impl Fn(&PipelineSample) -> Vec<(Labels, f64)>,
    ) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in self.pipelines.iter().flat_map(&all) {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A histogram that each pipeline has.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: impl Fn(&Telemetry) -> &Histogram,
    ) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Histogram)?;
        for pipeline in self.pipelines {
            value(&pipeline.telemetry).encode(family.encode_family(&labels(pipeline, []))?)?;
        }
        Ok(())
    }

    /// An info metric with these labels.
    fn infos(&mut self, name: &str, help: &str, all: impl Iterator<Item = Labels>) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Info)?;
        for labels in all {
            family.encode_info(&labels)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct HostCollector {
    process: ProcessSample,
    pipelines: Vec<PipelineSample>,
}

impl Collector for HostCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut families = Families { encoder, pipelines: &self.pipelines };
        let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        families.infos("build", "The version of the host", [build].into_iter())?;
        let help = "1 if the present settings file could not be applied, else 0";
        let is_wrong = f64::from(u8::from(self.process.has_config_error));
        families.encoder.encode_descriptor("config_error", help, None, MetricType::Gauge)?.encode_gauge(&is_wrong)?;
        alerts(&mut families.encoder, &self.process.alerts)?;
        let plugin = |pipeline: &PipelineSample| {
            let PluginLabels { name, version, digest, contract } = pipeline.plugin.clone()?;
            let about = [("name", name), ("version", version), ("digest", digest), ("contract", contract.to_owned())];
            Some(labels(pipeline, about))
        };
        let plugins: Vec<Labels> = self.pipelines.iter().filter_map(plugin).collect();
        if !plugins.is_empty() {
            families.infos("plugin", "The active plugin", plugins.into_iter())?;
        }
        families.gauge("generation", "Starts of the pipeline since the process began", |pipeline| {
            pipeline.generation as f64
        })?;
        families
            .gauge("ready", "1 if the pipeline is ready, else 0", |pipeline| f64::from(u8::from(pipeline.is_ready)))?;
        records(&mut families)?;
        dead_letters::encode(&mut families)?;
        guests(&mut families)?;
        kafka(&mut families)?;
        swaps(&mut families)?;
        families.counters("thread_panics", "Panics of threads beside the workers, by thread", |pipeline| {
            let panics = pipeline.telemetry.threads.panics().into_iter();
            panics.map(|(thread, count)| (labels(pipeline, [("thread", thread.to_owned())]), count)).collect()
        })?;
        partitions(&mut families)
    }
}

fn alerts(encoder: &mut DescriptorEncoder<'_>, counts: &AlertCounts) -> Result<(), Error> {
    let none: Option<&Exemplar<NoLabelSet, f64>> = None;
    for (name, help, count) in [
        ("alert_posts", "Posts that the alert webhook accepted", counts.posts()),
        ("alert_post_failures", "Failed posts to the alert webhook", counts.failed_posts()),
        ("alerts_dropped", "Groups of failures that are in no accepted post to the alert webhook", counts.dropped()),
    ] {
        encoder.encode_descriptor(name, help, None, MetricType::Counter)?.encode_counter(&count, none)?;
    }
    Ok(())
}

fn records(families: &mut Families<'_, '_>) -> Result<(), Error> {
    families
        .counter("records_in", "Input records that are committed", |pipeline| pipeline.telemetry.counts().records_in)?;
    families
        .counter("records_out", "Outputs that are committed", |pipeline| pipeline.telemetry.counts().records_out)?;
    families.counter("records_skipped", "Input records without an output", |pipeline| {
        pipeline.telemetry.counts().skipped
    })?;
    families.counters("dead_letters", "Dead letters that are committed, by kind of failure", |pipeline| {
        let counts = pipeline.telemetry.counts();
        counts
            .of_each_kind()
            .map(|(kind, count)| (labels(pipeline, [("kind", kind.name().to_owned())]), count))
            .collect()
    })?;
    let help = "Groups of failures (fingerprints of committed dead letters) that the pipeline has seen since the process began";
    families.counter("failure_groups", help, |pipeline| pipeline.telemetry.known_groups())?;
    let help = "Time that the plugin took for a batch";
    families.histogram("batch_mapping", help, Some(Unit::Seconds), |telemetry| &telemetry.distributions.mapping)?;
    families.histogram("batch_records", "Records of a batch", None, |telemetry| &telemetry.distributions.batch)
}

fn guests(families: &mut Families<'_, '_>) -> Result<(), Error> {
    let help = "Replaced instances of the plugin, by reason";
    families.counters("instance_renewals", help, |pipeline| {
        let renewals = |reason: Renewal| pipeline.telemetry.guests.renewals(reason);
        Renewal::ALL.map(|reason| (labels(pipeline, [("reason", reason.name().to_owned())]), renewals(reason))).to_vec()
    })?;
    let of_worker = |pipeline: &PipelineSample, worker: usize| labels(pipeline, [("worker", worker.to_string())]);
    let help = "Linear memory of the plugin instance of a worker, after its last batch";
    families.gauges("guest_memory", help, Some(Unit::Bytes), |pipeline| {
        let memory = pipeline.telemetry.guests.memory();
        memory.iter().map(|(worker, bytes)| (of_worker(pipeline, *worker), *bytes as f64)).collect()
    })?;
    let help = "1 if the breaker of the worker is open, so that it maps nothing, else 0";
    families.gauges("breaker_open", help, None, |pipeline| {
        let open = pipeline.telemetry.breakers.open();
        let workers = pipeline.telemetry.workers.all().into_keys();
        let is_open = |worker| f64::from(u8::from(open.contains_key(&worker)));
        workers.map(|worker| (of_worker(pipeline, worker), is_open(worker))).collect()
    })?;
    families.counter("breaker_openings", "Openings of a breaker", |pipeline| pipeline.telemetry.breakers.times_opened())
}

/// A metric: its name, its help text, and its value.
type Described<S, V> = (&'static str, &'static str, fn(&S) -> V);

fn kafka(families: &mut Families<'_, '_>) -> Result<(), Error> {
    families
        .histogram("commit", "Time of a commit", Some(Unit::Seconds), |telemetry| &telemetry.distributions.commit)?;
    let counters: [Described<Telemetry, u64>; 4] = [
        ("transactions", "Committed transactions", Telemetry::transactions),
        ("aborts", "Aborted transactions; their records are mapped again", Telemetry::aborts),
        ("rebalances", "Rebalances that revoked partitions", Telemetry::rebalances),
        (
            "records_missed",
            "Input records that were removed before the host read them, by retention or DeleteRecords",
            |telemetry| telemetry.topics.records_missed(),
        ),
    ];
    for (name, help, value) in counters {
        families.counter(name, help, |pipeline| value(&pipeline.telemetry))?;
    }
    families.counters("topic_recreations", "Deletions of a topic that was created again", |pipeline| {
        let topics = pipeline.telemetry.about.all_topics();
        let mut recreations: BTreeMap<String, u64> = topics.into_iter().map(|topic| (topic, 0)).collect();
        recreations.extend(pipeline.telemetry.topics.recreations());
        recreations.into_iter().map(|(topic, count)| (labels(pipeline, [("topic", topic)]), count)).collect()
    })?;
    families.counter("spans_sent", "Spans that the collector accepted", |pipeline| pipeline.telemetry.spans.sent())?;
    families.counter("spans_dropped", "Spans that were lost on the way to the collector", |pipeline| {
        pipeline.telemetry.spans.dropped()
    })
}

fn swaps(families: &mut Families<'_, '_>) -> Result<(), Error> {
    let help = "Requested swaps of the plugin, by outcome";
    families.counters("swaps", help, |pipeline| labelled(pipeline, "outcome", &pipeline.swaps.by_outcome))?;
    let help = "Refused swaps, by the step that refused them";
    families.counters("swap_refusals", help, |pipeline| labelled(pipeline, "step", &pipeline.swaps.refused_by_step))?;
    let help = "Rollbacks: requested, or after a failed probation";
    families.counters("rollbacks", help, |pipeline| labelled(pipeline, "by", &pipeline.swaps.rollbacks_by_trigger))
}

fn labelled(pipeline: &PipelineSample, label: &'static str, counts: &[(&'static str, u64)]) -> Vec<(Labels, u64)> {
    counts.iter().map(|(value, count)| (labels(pipeline, [(label, (*value).to_owned())]), *count)).collect()
}

fn partitions(families: &mut Families<'_, '_>) -> Result<(), Error> {
    let of_each = |pipeline: &PipelineSample, value: fn(&WorkerPosition) -> Option<f64>| -> Vec<(Labels, f64)> {
        let topics = pipeline.telemetry.about.topics();
        let positions = pipeline.telemetry.workers.positions();
        let known = positions.iter().filter_map(|(partition, place)| Some((partition, value(place)?)));
        known
            .map(|(partition, value)| {
                let (topic, partition) = (topics.topic(*partition), topics.partition(*partition));
                (labels(pipeline, [("topic", topic.to_owned()), ("partition", partition.to_string())]), value)
            })
            .collect()
    };
    let (lag, records) = ("partition_lag", Some(Unit::Other("records".to_owned())));
    let help = "Offsets of an assigned partition from the position to the end";
    families.gauges(lag, help, records, |pipeline| of_each(pipeline, |place| place.lag().map(|lag| lag as f64)))?;
    let gauges: [Described<WorkerPosition, Option<f64>>; 3] = [
        ("partition_position", "The offset of the record that is fetched next", |place| {
            place.position.map(|offset| offset as f64)
        }),
        ("partition_committed", "The committed offset of an assigned partition", |place| {
            place.committed.map(|offset| offset as f64)
        }),
        ("partition_end", "The end offset of an assigned partition", |place| place.end.map(|offset| offset as f64)),
    ];
    for (name, help, value) in gauges {
        families.gauges(name, help, None, |pipeline| of_each(pipeline, value))?;
    }
    Ok(())
}

#[derive(Debug)]
struct ProcessCollector(DateTime<Utc>);

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<Unit>, value: f64| {
            encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?.encode_gauge(&value)
        };
        let started = self.0.timestamp_millis() as f64 / 1000.0;
        gauge("start_time", "Start of the process, in Unix time", Some(Unit::Seconds), started)?;
        // These are known on Linux only.
        let Some(used) = process::used() else { return Ok(()) };
        gauge("resident_memory", "Resident memory", Some(Unit::Bytes), used.resident_bytes as f64)?;
        gauge("open_fds", "Open file descriptors", None, used.open_files as f64)?;
        let none: Option<&Exemplar<NoLabelSet, f64>> = None;
        let help = "CPU time, user and system";
        let mut cpu = encoder.encode_descriptor("cpu", help, Some(&Unit::Seconds), MetricType::Counter)?;
        cpu.encode_counter(&used.cpu_seconds, none)
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
