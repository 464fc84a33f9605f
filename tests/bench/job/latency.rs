//! End-to-end latency: from a visit's timestamp until a reader of committed records has what became of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use mapper_visits::{Generator, Profile, VisitRow};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::process::Process;
use crate::{RUN_TIMEOUT, Topics};

/// Visits per second.
pub(crate) const RATE: u64 = 10_000;
const SECONDS: u64 = 10;
/// These come first, and are waited for: the job is then known to run.
const FIRST: u64 = 100;
/// All visits of a run.
pub(crate) const RECORDS: u64 = FIRST + RATE * SECONDS;
/// Visits are sent at the ticks of this clock.
const TICK: Duration = Duration::from_millis(1);

/// How long it took.
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
}

/// Sends visits to a job that was started just now, and asks it to end, unless it does so after [`RECORDS`].
pub(crate) fn measure(mut process: Process, brokers: &str, topics: &Topics, must_be_asked: bool) -> Result<Latency> {
    let mut rows = Generator::new(Profile::default());
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "0").create()?;
    let consumer = reader(brokers, topics)?;
    rows.by_ref().take(usize::try_from(FIRST)?).try_for_each(|row| send(&producer, &topics.input, &row))?;
    read(&consumer, FIRST, &mut process)?;
    let mut taken = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_evenly(&producer, &topics.input, rows));
        let taken = read(&consumer, RATE * SECONDS, &mut process);
        sender.join().expect("the sender doesn't panic").and(taken)
    })?;
    if must_be_asked {
        process.terminate()?;
    }
    while process.poll()?.is_none() {
        ensure!(process.age() < RUN_TIMEOUT, "a job doesn't end");
        std::thread::sleep(TICK);
    }
    ensure!(consumer.poll(Duration::from_millis(500)).is_none(), "there is more output than there were visits");
    taken.sort_unstable();
    let at = |percent: usize| taken[(taken.len() - 1) * percent / 100];
    Ok(Latency { p50: at(50), p99: at(99), longest: at(100) })
}

fn send_evenly(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, mut rows: Generator) -> Result<()> {
    let (started, mut sent) = (Instant::now(), 0);
    while sent < RATE * SECONDS {
        let due = (started.elapsed().as_micros() as u64 * RATE / 1_000_000).min(RATE * SECONDS);
        for row in rows.by_ref().take(usize::try_from(due - sent)?) {
            send(producer, topic, &row)?;
        }
        sent = due;
        std::thread::sleep(TICK);
    }
    Ok(producer.flush(RUN_TIMEOUT)?)
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, row: &VisitRow) -> Result<()> {
    let mut record: BaseRecord<'_, str, str> = BaseRecord::to(topic).payload(&row.value);
    record.key = row.key.as_deref();
    record.timestamp = Some(i64::try_from(since_1970().as_millis())?);
    producer.send(record).map_err(|(error, _)| error.into())
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn reader(brokers: &str, topics: &Topics) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench-latency")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut all = TopicPartitionList::new();
    for topic in [&topics.output, &topics.dead_letters] {
        for partition in 0..topics.partitions {
            all.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&all)?;
    Ok(consumer)
}

/// How long each of so many outputs took to get here.
fn read(consumer: &BaseConsumer, count: u64, process: &mut Process) -> Result<Vec<Duration>> {
    let mut taken = Vec::new();
    while (taken.len() as u64) < count {
        ensure!(process.age() < RUN_TIMEOUT, "{} of {count} outputs came within {RUN_TIMEOUT:?}", taken.len());
        let Some(record) = consumer.poll(Duration::from_millis(100)) else {
            process.poll()?;
            continue;
        };
        let sent_ms = record?.timestamp().to_millis().context("an output without a timestamp")?;
        taken.push(since_1970().saturating_sub(Duration::from_millis(u64::try_from(sent_ms)?)));
    }
    Ok(taken)
}
