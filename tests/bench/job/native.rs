//! The reference: the same job as a plain Rust consumer with the mapper compiled in, with the host's properties.

#[path = "native/letter.rs"]
mod letter;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use mapper_host::config::Delivery;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use reduce_visit::reduce::{Refused, reduce};

use crate::{Case, PARTITIONS, Topics};
use letter::Letters;

/// The subcommand with which the benchmark runs itself as this job.
pub(crate) const COMMAND: &str = "native";

// As the host's defaults.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const COMMIT_RECORDS: u64 = 20_000;
const BUFFERS_KIB: usize = 8 << 10;
const DEFAULT_RECORD_BYTES: &str = "1048588";

const IDLE_WAIT: Duration = Duration::from_millis(10);
const FULL_WAIT: Duration = Duration::from_millis(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The clock is looked at once in so many records.
const RECORDS_PER_LOOK: u64 = 16;

/// What the job is told.
pub(crate) struct Options<'a> {
    pub(crate) brokers: String,
    pub(crate) topics: &'a Topics,
    pub(crate) case: Case,
    /// After how many it ends.
    pub(crate) records: u64,
    /// Whether the ends of partitions are ends.
    pub(crate) until_end: bool,
    /// Whether dead letters have the host's headers of version 1.
    pub(crate) has_headers: bool,
}

impl Options<'_> {
    /// How to run this very program as the job.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        let Topics { input, output, dead_letters, group, .. } = self.topics;
        command.args([COMMAND, &self.brokers, input, output, dead_letters, group, &self.case.delivery.to_string()]);
        command.args([self.case.workers as u64, self.records].map(|number| number.to_string()));
        command.args([self.until_end, self.has_headers].map(|choice| choice.to_string()));
        Ok(command)
    }
}

/// Runs the job, as [`Options::command`] says.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let [brokers, input, output, dead_letters, group, delivery, workers, records, until_end, has_headers] = args else {
        bail!("wrong arguments");
    };
    let [input, output, dead_letters, group] = [input, output, dead_letters, group].map(String::clone);
    let exactly_once = *delivery == Delivery::ExactlyOnce.to_string();
    let delivery = if exactly_once { Delivery::ExactlyOnce } else { Delivery::AtLeastOnce };
    let options = Options {
        brokers: brokers.clone(),
        topics: &Topics { input, output, dead_letters, group, partitions: PARTITIONS },
        case: Case { delivery, workers: workers.parse()? },
        records: records.parse()?,
        until_end: until_end.parse()?,
        has_headers: has_headers.parse()?,
    };
    let done = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        let start = |number| {
            let (options, done) = (&options, done.clone());
            scope.spawn(move || work(options, number, done))
        };
        let workers: Vec<_> = (0..options.case.workers).map(start).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })
}

/// Whether a record could not be delivered.
#[derive(Default)]
struct Deliveries(AtomicBool);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// What a worker needs in the middle of a rebalance, too.
struct Worker {
    producer: ThreadedProducer<Deliveries>,
    exactly_once: bool,
    /// Records since the last commit.
    pending: AtomicU64,
    /// Records that are committed, of all workers.
    done: Arc<AtomicU64>,
}

impl ClientContext for Worker {}

impl ConsumerContext for Worker {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Revoke(_)) {
            self.commit(consumer).expect("what is revoked can be committed");
        }
    }
}

impl Worker {
    fn commit(&self, consumer: &BaseConsumer<Self>) -> Result<()> {
        let pending = self.pending.swap(0, Ordering::Relaxed);
        if pending == 0 {
            return Ok(());
        }
        let next = consumer.position()?;
        if self.exactly_once {
            let member = consumer.group_metadata().context("this worker is in no group")?;
            let sent = self.producer.send_offsets_to_transaction(&next, &member, Timeout::Never);
            match sent.and_then(|()| self.producer.commit_transaction(Timeout::Never)) {
                // The group has gone on to another generation meanwhile.
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    self.producer.abort_transaction(Timeout::Never)?;
                    return go_back(consumer);
                }
                committed => committed?,
            }
        } else {
            self.producer.flush(Timeout::Never)?;
            match consumer.commit(&next, CommitMode::Sync) {
                Err(KafkaError::ConsumerCommit(
                    RDKafkaErrorCode::IllegalGeneration | RDKafkaErrorCode::RebalanceInProgress,
                )) => return go_back(consumer),
                committed => committed?,
            }
        }
        ensure!(!self.producer.context().0.load(Ordering::Relaxed), "a record could not be delivered");
        self.done.fetch_add(pending, Ordering::Relaxed);
        Ok(())
    }

    fn send(&self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<()> {
        while let Err((error, back)) = self.producer.send(record) {
            ensure!(error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull), error);
            std::thread::sleep(FULL_WAIT);
            record = back;
        }
        Ok(())
    }
}

/// Goes back to the committed offsets.
fn go_back(consumer: &BaseConsumer<Worker>) -> Result<()> {
    let mut starts = TopicPartitionList::new();
    for next in consumer.committed(CONNECT_TIMEOUT)?.elements() {
        next.error()?;
        let start = if next.offset() == Offset::Invalid { Offset::Beginning } else { next.offset() };
        starts.add_partition_offset(next.topic(), next.partition(), start)?;
    }
    consumer.seek_partitions(starts, CONNECT_TIMEOUT)?;
    Ok(())
}

fn work(options: &Options<'_>, number: usize, done: Arc<AtomicU64>) -> Result<()> {
    let Options { topics, case, .. } = options;
    let exactly_once = case.delivery == Delivery::ExactlyOnce;
    let producer: ThreadedProducer<Deliveries> =
        producer_config(options, number).create_with_context(Deliveries::default())?;
    if exactly_once {
        // Or the coordinator is looked for before any broker is known, and again only after half a second.
        producer.client().fetch_metadata(Some(&topics.output), CONNECT_TIMEOUT)?;
        producer.init_transactions(CONNECT_TIMEOUT)?;
    }
    let worker = Worker { producer, exactly_once, pending: AtomicU64::new(0), done: done.clone() };
    let consumer: BaseConsumer<Worker> = consumer_config(options).create_with_context(worker)?;
    consumer.subscribe(&[&topics.input])?;
    let worker = consumer.context().clone();
    let mut letters = Letters::new(topics, number, options.has_headers);
    let mut value = Vec::new();
    let mut since = Instant::now();
    while done.load(Ordering::Relaxed) < options.records {
        let mut at_end = false;
        match consumer.poll(IDLE_WAIT) {
            Some(Ok(record)) => {
                let pending = worker.pending.load(Ordering::Relaxed);
                if pending == 0 {
                    since = Instant::now();
                    if exactly_once {
                        worker.producer.begin_transaction()?;
                    }
                }
                if pending % RECORDS_PER_LOOK == 0 {
                    letters.set_time();
                }
                process(&worker, topics, &record, &mut value, &mut letters)?;
                worker.pending.store(pending + 1, Ordering::Relaxed);
                if (pending + 1) % RECORDS_PER_LOOK != 0 {
                    continue;
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => at_end = true,
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        let full = worker.pending.load(Ordering::Relaxed) >= COMMIT_RECORDS;
        if at_end || full || since.elapsed() >= COMMIT_INTERVAL {
            worker.commit(&consumer)?;
        }
    }
    Ok(())
}

/// Maps one record, and sends what becomes of it.
fn process(
    worker: &Worker,
    topics: &Topics,
    record: &BorrowedMessage<'_>,
    value: &mut Vec<u8>,
    letters: &mut Letters,
) -> Result<()> {
    value.clear();
    let (topic, headers) = match record.payload().ok_or(Refused::Tombstone).and_then(reduce) {
        Ok(reduced) => {
            reduced.write(value);
            (&topics.output, record.headers().map(|headers| headers.detach()))
        }
        Err(refused) => (&topics.dead_letters, letters.write(record, &refused.to_string(), value)?),
    };
    let mut outgoing = BaseRecord::to(topic).payload(&value[..]);
    outgoing.key = record.key();
    outgoing.timestamp = record.timestamp().to_millis();
    outgoing.headers = headers;
    worker.send(outgoing)
}

fn client_config(options: &Options<'_>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers);
    config
}

fn consumer_config(options: &Options<'_>) -> ClientConfig {
    let buffer_kib = BUFFERS_KIB / options.case.workers;
    let mut config = client_config(options);
    config
        .set("group.id", &options.topics.group)
        .set("auto.offset.reset", "earliest")
        .set("queued.min.messages", (20_000 / options.case.workers).to_string())
        .set("queued.max.messages.kbytes", buffer_kib.to_string())
        .set("fetch.max.bytes", (buffer_kib << 10).to_string())
        .set("max.partition.fetch.bytes", "1048576")
        .set("fetch.queue.backoff.ms", "5")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("heartbeat.interval.ms", "1000")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", options.until_end.to_string());
    config
}

fn producer_config(options: &Options<'_>, number: usize) -> ClientConfig {
    let mut config = client_config(options);
    config
        .set("message.max.bytes", DEFAULT_RECORD_BYTES)
        .set("batch.size", "1000000")
        .set("batch.num.messages", "50000")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        .set("queue.buffering.max.kbytes", (BUFFERS_KIB / options.case.workers).to_string())
        .set("queue.buffering.max.messages", (6_000 / options.case.workers).to_string())
        .set("enable.idempotence", "true")
        .set("delivery.report.only.error", "true");
    if options.case.delivery == Delivery::ExactlyOnce {
        config.set("transactional.id", format!("{}-{number}", options.topics.group));
    }
    config
}
