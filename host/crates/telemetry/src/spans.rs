//! Spans for OpenTelemetry: of transactions, of their batches, and of records with a sampled trace.
//!
//! Names and attributes follow the semantic conventions for messaging. A worker creates spans and puts them into a
//! bounded queue; another thread sends them.

mod client;
mod queue;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span, SpanExporter as Export};

use mapper_core::record::Record;
use mapper_core::trace_context::{Parent, Traceparent, traceparent};
use mapper_core::verdict::FailureKind;
use mapper_pipeline::{CommittedTransaction, Observer, RecordTracer};
use queue::Queue;
pub use queue::Sent;

/// The maximum number of records of a batch that get a span. The trace context of other records is unchanged.
const MOST_RECORDS: u32 = 32;
/// The time limit of sending the last spans at the end.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// The settings of spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracingConfig {
    /// The URL of the endpoint, OTLP over HTTP.
    pub endpoint: String,
    /// The service name.
    pub service: String,
}

/// Creates spans for all workers; the default creates none. Clones share the exporter.
#[derive(Clone, Default)]
pub struct Spans(Option<Arc<Maker>>);

struct Maker {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    topic: String,
    group: String,
}

impl Spans {
    /// Spans about this topic and group, sent as OTLP over HTTP. What was sent is counted in `sent`.
    ///
    /// # Errors
    /// If the endpoint or one of the standard variables for it is not valid.
    pub fn start(config: &TracingConfig, (topic, group): (&str, &str), sent: &Arc<Sent>) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client::Client::new(client::timeout(|name| std::env::var(name).ok())))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&config.endpoint)
            .build()?;
        Ok(Self::to(exporter, &config.service, (topic, group), sent))
    }

    fn to(exporter: impl Export + 'static, service: &str, (topic, group): (&str, &str), sent: &Arc<Sent>) -> Self {
        let resource = Resource::builder()
            .with_service_name(service.to_owned())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let queue = Queue::start(exporter, sent.clone());
        let provider = SdkTracerProvider::builder().with_resource(resource).with_span_processor(queue).build();
        let tracer = provider.tracer("mapper-host");
        Self(Some(Arc::new(Maker { provider, tracer, topic: topic.to_owned(), group: group.to_owned() })))
    }

    /// The spans of one worker.
    pub fn of_worker(&self, worker: usize) -> WorkerSpans {
        WorkerSpans { maker: self.0.clone(), worker, transaction: None, batch: None }
    }

    /// Sends the remaining spans, within a time limit.
    pub fn finish(&self) {
        if let Some(maker) = &self.0
            && let Err(error) = maker.provider.shutdown_with_timeout(LAST_EXPORT)
        {
            tracing::debug!(%error, "failed to send the last spans");
        }
    }
}

/// The spans of one worker: of the open transaction and of the last batch.
pub struct WorkerSpans {
    maker: Option<Arc<Maker>>,
    worker: usize,
    transaction: Option<Span>,
    batch: Option<RecordSpans>,
}

/// The spans of records of a batch that was mapped.
struct RecordSpans {
    maker: Arc<Maker>,
    context: SpanContext,
    started: SystemTime,
    ended: SystemTime,
    left: u32,
}

impl Maker {
    fn span(&self, operation: &'static str, kind: SpanKind, started: SystemTime) -> SpanBuilder {
        self.span_of_topic(&self.topic, operation, kind, started)
    }

    fn span_of_topic(&self, topic: &str, operation: &'static str, kind: SpanKind, started: SystemTime) -> SpanBuilder {
        self.tracer
            .span_builder(format!("{operation} {topic}"))
            .with_kind(kind)
            .with_start_time(started)
            .with_attributes([
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.operation.name", operation),
                KeyValue::new("messaging.destination.name", topic.to_owned()),
                KeyValue::new("messaging.consumer.group.name", self.group.clone()),
            ])
    }
}

impl Observer for WorkerSpans {
    /// A transaction begins with its first batch.
    fn batch_mapped(&mut self, records: usize, took: Duration) {
        let Some(maker) = &self.maker else { return };
        let ended = SystemTime::now();
        let started = ended.checked_sub(took).unwrap_or(ended);
        let worker = self.worker;
        let transaction = self.transaction.get_or_insert_with(|| {
            let mut span = maker
                .tracer
                .build_with_context(maker.span("transaction", SpanKind::Internal, started), &Context::new());
            span.set_attribute(KeyValue::new("mapper_host.worker", worker as i64));
            span
        });
        let within = Context::new().with_remote_span_context(transaction.span_context().clone());
        let mut span = maker.tracer.build_with_context(maker.span("process", SpanKind::Consumer, started), &within);
        span.set_attribute(KeyValue::new("messaging.operation.type", "process"));
        span.set_attribute(KeyValue::new("messaging.batch.message_count", records as i64));
        self.batch = Some(RecordSpans {
            maker: maker.clone(),
            context: span.span_context().clone(),
            started,
            ended,
            left: MOST_RECORDS,
        });
        span.end_with_timestamp(ended);
    }

    fn record_tracer(&mut self) -> Option<Box<dyn RecordTracer>> {
        Some(Box::new(self.batch.take()?))
    }

    fn transaction_committed(&mut self, committed: CommittedTransaction<'_>) {
        let CommittedTransaction { records, took, .. } = committed;
        let (Some(maker), Some(mut transaction)) = (&self.maker, self.transaction.take()) else { return };
        let ended = SystemTime::now();
        let within = Context::new().with_remote_span_context(transaction.span_context().clone());
        let builder = maker.span("commit", SpanKind::Client, ended.checked_sub(took).unwrap_or(ended));
        let mut span = maker.tracer.build_with_context(builder, &within);
        span.set_attribute(KeyValue::new("messaging.operation.type", "settle"));
        span.end_with_timestamp(ended);
        transaction.set_attribute(KeyValue::new("messaging.batch.message_count", records as i64));
        transaction.end_with_timestamp(ended);
        self.batch = None;
    }

    fn transaction_aborting(&mut self, reason: &'static str) {
        if let Some(mut transaction) = self.transaction.take() {
            transaction.set_attribute(KeyValue::new("error.type", "aborted"));
            transaction.set_status(Status::error(reason.to_owned()));
            transaction.end();
        }
        self.batch = None;
    }
}

impl RecordTracer for RecordSpans {
    /// A record with a sampled trace gets a span in that trace, up to a limit per batch, with a link to the span of the
    /// batch. The outputs of the record get it as their parent.
    fn trace(&mut self, record: Record<'_>, failure: Option<FailureKind>) -> Option<Traceparent> {
        if self.left == 0 {
            return None;
        }
        let parent = Parent::of(record).filter(|parent| parent.sampled)?;
        self.left -= 1;
        let state = parent.state.and_then(|state| state.parse().ok());
        let parent = SpanContext::new(
            TraceId::from(parent.trace),
            SpanId::from(parent.span),
            TraceFlags::SAMPLED,
            true,
            state.unwrap_or_else(TraceState::default),
        );
        let builder = self
            .maker
            .span_of_topic(record.topic(), "process", SpanKind::Consumer, self.started)
            .with_links(vec![Link::with_context(self.context.clone())]);
        let within = Context::new().with_remote_span_context(parent);
        let mut span = self.maker.tracer.build_with_context(builder, &within);
        span.set_attribute(KeyValue::new("messaging.operation.type", "process"));
        span.set_attribute(KeyValue::new("messaging.destination.partition.id", record.partition().to_string()));
        span.set_attribute(KeyValue::new("messaging.kafka.offset", record.offset()));
        if let Some(kind) = failure {
            span.set_attribute(KeyValue::new("error.type", kind.name()));
            span.set_status(Status::error(kind.name()));
        }
        let (context, recording) = (span.span_context().clone(), span.is_recording());
        span.end_with_timestamp(self.ended);
        let [trace, span] = [context.trace_id().to_bytes().to_vec(), context.span_id().to_bytes().to_vec()];
        let trace = u128::from_be_bytes(trace.try_into().ok()?);
        recording.then(|| traceparent(trace, u64::from_be_bytes(span.try_into().unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests;
