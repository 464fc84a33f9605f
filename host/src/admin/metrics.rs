//! `/metrics`: all that is counted, in the text format of Prometheus or that of OpenMetrics 1.0.
//!
//! Names and units are those of Prometheus' conventions; labels are workers, configured topics, partitions, kinds and
//! reasons, never anything that a record or a guest could make up without end.

mod format;

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::process;
use crate::output::escape;
use crate::swap::report::{Step, SwapOutcome};
use crate::telemetry::{Place, Renewal, Telemetry};
use format::Format;

/// What the names of our own metrics start with; those of the process have the names that every exporter gives them.
const PREFIX: &str = "mapper_host";

pub(super) fn routes() -> Router<Arc<Telemetry>> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(telemetry): State<Arc<Telemetry>>, headers: HeaderMap) -> Response {
    let format = Format::wanted(&headers);
    match render(&telemetry) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type()), (VARY, "accept")], format.of(text)).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics can't be written: {error}\n")).into_response()
        }
    }
}

/// All metrics, in the format of OpenMetrics.
pub(super) fn render(telemetry: &Arc<Telemetry>) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(Ours(telemetry.clone())));
    registry.sub_registry_with_prefix("process").register_collector(Box::new(OfProcess(telemetry.clone())));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// One label.
type Label = [(&'static str, String); 1];

/// Writes metrics, one family after the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let none: Option<&Exemplar<NoLabelSet, f64>> = None;
        self.0.encode_descriptor(name, help, None, MetricType::Counter)?.encode_counter(&value, none)
    }

    fn counters(&mut self, name: &str, help: &str, all: impl Iterator<Item = (Label, u64)>) -> Result<(), Error> {
        let none: Option<&Exemplar<NoLabelSet, f64>> = None;
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in all {
            family.encode_family(&labels)?.encode_counter(&value, none)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        all: impl Iterator<Item = (L, f64)>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in all {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, unit: Option<Unit>, value: &Histogram) -> Result<(), Error> {
        value.encode(self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Histogram)?)
    }

    fn info<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [(&'static str, String); N],
    ) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }
}

#[derive(Debug)]
struct Ours(Arc<Telemetry>);

impl Collector for Ours {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (telemetry, mut families) = (&self.0, Families(encoder));
        families.info("build", "The version of the host", [("version", env!("CARGO_PKG_VERSION").to_owned())])?;
        if let Some(plugin) = telemetry.about.plugin() {
            let labels = [
                // A label may be any text, but metrics are shown at terminals, too.
                ("name", escape::text(&plugin.identity.name).into_owned()),
                ("version", escape::text(&plugin.identity.version).into_owned()),
                ("digest", plugin.identity.digest.to_string()),
                ("contract", plugin.identity.contract.to_owned()),
            ];
            families.info("plugin", "The active plugin", labels)?;
        }
        let ready = telemetry.not_ready().is_empty();
        families.gauge("ready", "1 if /readyz reports ready, else 0", None, f64::from(u8::from(ready)))?;
        records(telemetry, &mut families)?;
        guests(telemetry, &mut families)?;
        kafka(telemetry, &mut families)?;
        swaps(telemetry, &mut families)?;
        partitions(telemetry, &mut families)
    }
}

fn records(telemetry: &Telemetry, families: &mut Families<'_>) -> Result<(), Error> {
    let counts = telemetry.counts();
    families.counter("records_in", "Input records that are committed", counts.records_in)?;
    families.counter("records_out", "Outputs that are committed", counts.records_out)?;
    families.counter("records_skipped", "Input records without an output", counts.skipped)?;
    let kinds = counts.of_each_kind().map(|(kind, count)| ([("kind", kind.name().to_owned())], count));
    families.counters("dead_letters", "Dead letters that are committed, by kind of failure", kinds)?;
    let distributions = &telemetry.distributions;
    let help = "Time that the plugin took for a batch";
    families.histogram("batch_mapping", help, Some(Unit::Seconds), &distributions.mapping)?;
    families.histogram("batch_records", "Records of a batch", None, &distributions.batch)
}

fn guests(telemetry: &Telemetry, families: &mut Families<'_>) -> Result<(), Error> {
    let renewals =
        Renewal::ALL.map(|reason| ([("reason", reason.name().to_owned())], telemetry.guests.renewals(reason)));
    let help = "Replaced instances of the plugin, by reason";
    families.counters("instance_renewals", help, renewals.into_iter())?;
    let memory = telemetry.guests.memory();
    let memory = memory.iter().map(|(worker, bytes)| ([("worker", worker.to_string())], *bytes as f64));
    let help = "Linear memory of the plugin instance of a worker, after its last batch";
    families.gauges("guest_memory", help, Some(Unit::Bytes), memory)?;
    let open = telemetry.breakers.open();
    let state = telemetry
        .workers
        .all()
        .into_keys()
        .map(|worker| ([("worker", worker.to_string())], f64::from(u8::from(open.contains_key(&worker)))));
    let help = "1 if the breaker of the worker is open, so that it maps nothing, else 0";
    families.gauges("breaker_open", help, None, state)?;
    families.counter("breaker_openings", "Openings of a breaker", telemetry.breakers.times_opened())
}

fn kafka(telemetry: &Telemetry, families: &mut Families<'_>) -> Result<(), Error> {
    families.histogram("commit", "Time of a commit", Some(Unit::Seconds), &telemetry.distributions.commit)?;
    families.counter("transactions", "Committed transactions", telemetry.transactions())?;
    families.counter("aborts", "Aborted transactions; their records are mapped again", telemetry.aborts())?;
    families.counter("rebalances", "Rebalances that revoked partitions", telemetry.rebalances())?;
    let help = "Input records that were removed before the host read them, by retention or DeleteRecords";
    families.counter("records_missed", help, telemetry.topics.records_missed())?;
    let work = telemetry.about.work();
    let mut recreations: BTreeMap<String, u64> = work.topics().map(|topic| (topic.to_owned(), 0)).collect();
    recreations.extend(telemetry.topics.recreations());
    let recreations = recreations.into_iter().map(|(topic, count)| ([("topic", topic)], count));
    families.counters("topic_recreations", "Deletions of a topic that was created again", recreations)?;
    families.counter("spans_sent", "Spans that the collector accepted", telemetry.spans.sent())?;
    families.counter("spans_dropped", "Spans that were lost on the way to the collector", telemetry.spans.dropped())
}

fn swaps(telemetry: &Telemetry, families: &mut Families<'_>) -> Result<(), Error> {
    let counts = telemetry.versions.get().map(|versions| versions.requests.counts()).unwrap_or_default();
    let of = |outcome: &SwapOutcome| counts.ended.get(outcome).copied().unwrap_or(0);
    let outcomes = SwapOutcome::ALL.iter().map(|outcome| ([("outcome", outcome.name().to_owned())], of(outcome)));
    families.counters("swaps", "Requested swaps of the plugin, by outcome", outcomes)?;
    let of = |step: &Step| counts.refused.get(step).copied().unwrap_or(0);
    let steps = Step::ALL.iter().map(|step| ([("step", step.name().to_owned())], of(step)));
    families.counters("swap_refusals", "Refused swaps, by the step that refused them", steps)?;
    let by = ["rollback", "probation"].into_iter().zip(counts.rolled_back);
    let by = by.map(|(by, count)| ([("by", by.to_owned())], count));
    families.counters("rollbacks", "Rollbacks: requested, or after a failed probation", by)
}

fn partitions(telemetry: &Telemetry, families: &mut Families<'_>) -> Result<(), Error> {
    let topic = telemetry.about.work().input_topic;
    let places = telemetry.workers.places();
    let of_each = |value: fn(&Place) -> Option<f64>| {
        let topic = topic.clone();
        places.iter().filter_map(move |(partition, place)| {
            Some(([("topic", topic.clone()), ("partition", partition.to_string())], value(place)?))
        })
    };
    let (lag, records) = ("partition_lag", Some(Unit::Other("records".to_owned())));
    let help = "Offsets of an assigned partition from the position to the end";
    families.gauges(lag, help, records, of_each(|place| place.lag().map(|lag| lag as f64)))?;
    let help = "The offset of the record that is fetched next";
    families.gauges("partition_position", help, None, of_each(|place| place.position.map(|offset| offset as f64)))?;
    let help = "The committed offset of an assigned partition";
    families.gauges("partition_committed", help, None, of_each(|place| place.committed.map(|offset| offset as f64)))?;
    let help = "The end offset of an assigned partition";
    families.gauges("partition_end", help, None, of_each(|place| place.end.map(|offset| offset as f64)))
}

#[derive(Debug)]
struct OfProcess(Arc<Telemetry>);

impl Collector for OfProcess {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut families = Families(encoder);
        let started = self.0.about.started.timestamp_millis() as f64 / 1000.0;
        families.gauge("start_time", "Start of the process, in Unix time", Some(Unit::Seconds), started)?;
        // Only Linux tells.
        let Some(used) = process::used() else { return Ok(()) };
        let none: Option<&Exemplar<NoLabelSet, f64>> = None;
        let help = "CPU time, user and system";
        let mut cpu = families.0.encode_descriptor("cpu", help, Some(&Unit::Seconds), MetricType::Counter)?;
        cpu.encode_counter(&used.cpu_seconds, none)?;
        let bytes = used.resident_bytes as f64;
        families.gauge("resident_memory", "Resident memory", Some(Unit::Bytes), bytes)?;
        families.gauge("open_fds", "Open file descriptors", None, used.open_files as f64)
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
