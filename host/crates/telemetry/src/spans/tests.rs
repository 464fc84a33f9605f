//! The spans that an exporter receives.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SpanData;

use super::*;
use mapper_core::counts::Counts;
use mapper_core::record::{Batch, Positions};

/// An exporter that stores spans once it is open.
#[derive(Debug, Clone, Default)]
struct Collector(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Debug, Default)]
struct Collected {
    open: bool,
    refuses: bool,
    spans: Vec<SpanData>,
    service: String,
}

impl Collector {
    fn set(&self, change: impl FnOnce(&mut Collected)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }
}

impl Export for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let collected = self.0.0.lock().unwrap();
        let mut collected = self.0.1.wait_while(collected, |collected| !collected.open).unwrap();
        if collected.refuses {
            return Err(OTelSdkError::InternalFailure("no".into()));
        }
        collected.spans.extend(batch);
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        let service = resource.get(&"service.name".into()).unwrap().to_string();
        self.set(|collected| collected.service = service);
    }
}

fn spans(open: bool) -> (Spans, Collector, Arc<Sent>) {
    let (collector, sent) = (Collector::default(), Arc::new(Sent::default()));
    collector.set(|collected| collected.open = open);
    (Spans::to(collector.clone(), "my-service", ("visits", "readers"), &sent), collector, sent)
}

fn batch(traceparents: &[&str]) -> Batch {
    let mut batch = Batch::new("visits");
    for (offset, traceparent) in traceparents.iter().enumerate() {
        let headers = [(&b"traceparent"[..], Some(traceparent.as_bytes()))];
        batch.push((1, offset as i64), 0, None, None, headers.into_iter());
    }
    batch
}

fn commit(worker: &mut WorkerSpans, records: usize, took: Duration) {
    let (next, counts) = (Positions::new(), Counts::default());
    worker.transaction_committed(CommittedTransaction { records, next: &next, counts: &counts, took });
}

fn attributes(span: &SpanData) -> BTreeMap<&str, String> {
    span.attributes.iter().map(|pair| (pair.key.as_str(), pair.value.to_string())).collect()
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[test]
fn transaction_span_has_children_for_batches_and_commit() {
    let (spans, collector, sent) = spans(true);
    let mut worker = spans.of_worker(3);
    worker.batch_mapped(10, Duration::from_millis(2));
    worker.batch_mapped(5, Duration::from_millis(1));
    commit(&mut worker, 15, Duration::from_millis(4));
    worker.batch_mapped(1, Duration::from_millis(1));
    worker.transaction_aborting("the broker went");
    spans.finish();
    let collected = collector.0.0.lock().unwrap();
    assert_eq!((collected.service.as_str(), sent.sent(), sent.dropped()), ("my-service", 6, 0));
    let names: Vec<&str> = collected.spans.iter().map(|span| &*span.name).collect();
    let [process, commit, transaction] = ["process visits", "commit visits", "transaction visits"];
    assert_eq!(names, [process, process, commit, transaction, process, transaction]);
    let of = |index: usize| &collected.spans[index];
    for child in 0..3 {
        assert_eq!(of(child).parent_span_id, of(3).span_context.span_id());
        assert_eq!(of(child).span_context.trace_id(), of(3).span_context.trace_id());
    }
    assert_ne!(of(5).span_context.trace_id(), of(3).span_context.trace_id());
    assert_eq!(of(0).end_time.duration_since(of(0).start_time).unwrap(), Duration::from_millis(2));
    let transaction = attributes(of(0));
    assert_eq!((&*transaction["messaging.system"], &*transaction["messaging.batch.message_count"]), ("kafka", "10"));
    assert_eq!(transaction["messaging.consumer.group.name"], "readers");
    assert_eq!(attributes(of(3))["mapper_host.worker"], "3");
    assert_eq!(of(5).status, Status::error("the broker went"));
}

#[test]
fn only_records_with_a_sampled_trace_get_a_span() {
    let (spans, collector, _) = spans(true);
    let mut worker = spans.of_worker(0);
    let batch = batch(&[SAMPLED, NOT_SAMPLED, "nonsense", SAMPLED]);
    worker.batch_mapped(batch.len(), Duration::from_millis(1));
    let mut tracer = worker.record_tracer().unwrap();
    let ours: Vec<_> = batch
        .records()
        .zip([None, None, None, Some(FailureKind::Trap)])
        .map(|(record, failure)| tracer.trace(record, failure))
        .collect();
    commit(&mut worker, 4, Duration::ZERO);
    spans.finish();
    let collected = collector.0.0.lock().unwrap();
    let [ref mapped, ref first, ref last, ..] = collected.spans[..] else { panic!("{collected:?}") };
    assert_eq!(ours.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true]);
    for (span, offset) in [(first, 0), (last, 3)] {
        assert_eq!(span.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(span.links.links[0].span_context, mapped.span_context);
        let ours = ours[offset].unwrap();
        let expected = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", span.span_context.span_id());
        assert_eq!(std::str::from_utf8(&ours).unwrap(), expected);
        assert_eq!(attributes(span)["messaging.kafka.offset"], offset.to_string());
    }
    assert_eq!((&first.status, &last.status), (&Status::Unset, &Status::error("trap")));
    assert_eq!(attributes(last)["error.type"], "trap");
}

#[test]
fn record_spans_are_bounded() {
    let (spans, _, _) = spans(true);
    let mut worker = spans.of_worker(0);
    let batch = batch(&vec![SAMPLED; 100]);
    for _ in 0..2 {
        worker.batch_mapped(batch.len(), Duration::ZERO);
        let mut tracer = worker.record_tracer().unwrap();
        let with = batch.records().filter_map(|record| tracer.trace(record, None)).count();
        assert_eq!(with, MOST_RECORDS as usize);
    }
}

#[test]
fn slow_or_failed_exporter_loses_spans_and_blocks_no_worker() {
    let (spans, collector, sent) = spans(false);
    let mut worker = spans.of_worker(0);
    // The exporter is blocked, and none of these calls waits.
    for _ in 0..10_000 {
        worker.batch_mapped(1, Duration::ZERO);
    }
    assert!(sent.dropped() > 1000 && sent.sent() == 0, "{sent:?}");
    let before = sent.dropped();
    collector.set(|collected| (collected.open, collected.refuses) = (true, true));
    spans.finish();
    assert_eq!((sent.sent(), sent.dropped()), (0, 10_000), "refused ones are dropped, too: {before} before");
}

#[test]
fn without_an_endpoint_no_span_is_created() {
    let mut worker = Spans::default().of_worker(0);
    worker.batch_mapped(1, Duration::ZERO);
    assert!(worker.record_tracer().is_none());
    commit(&mut worker, 1, Duration::ZERO);
    worker.transaction_aborting("");
    Spans::default().finish();
}
