//! The visits that the jobs read.

use std::cell::OnceCell;

use anyhow::{Result, ensure};
use harness::kafka::Kafka;
use harness::topics;
use mapper_visits::{Generator, Profile};
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::RUN_TIMEOUT;

/// The topic of visits.
pub(crate) struct Input {
    pub(crate) topic: String,
    pub(crate) records: u64,
    /// How many can be reduced.
    pub(crate) good: u64,
    /// What the first run wrote.
    pub(crate) checksum: OnceCell<u64>,
    /// The names of headers that the first run with all of them wrote.
    pub(crate) headers_checksum: OnceCell<u64>,
}

/// The visits that a topic gets.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) records: u64,
    /// Of so many percent of the records, the generator's visits that can't be reduced are taken, of the others those that can. `None` is as
    /// generated.
    pub(crate) failing: Option<u64>,
    /// A shorter visit gets a field that makes it so long.
    pub(crate) min_bytes: usize,
    pub(crate) partitions: i32,
}

impl Input {
    pub(crate) fn fill(kafka: &Kafka, shape: Shape) -> Result<Self> {
        let Shape { records, failing, min_bytes, partitions } = shape;
        let topic = topics::unique("bench-visits");
        topics::create(kafka, &topic, partitions, &[]);
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", kafka.brokers())
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "20")
            .set("enable.idempotence", "true")
            .create()?;
        let (mut good, mut sent) = (0, 0);
        let mut visits = Generator::new(Profile::default());
        while sent < records {
            let mut row = visits.next().expect("the generator has no end");
            let is_good = reduce_visit::reduce::reduce(row.value.as_bytes()).is_ok();
            // Spread evenly: the number of the failing ones among the first so many is theirs of the share.
            let fails = |failing: u64| (sent + 1) * failing / 100 > sent * failing / 100;
            if failing.is_some_and(|failing| fails(failing) == is_good) {
                continue;
            }
            lengthen(&mut row.value, min_bytes);
            (good, sent) = (good + u64::from(is_good), sent + 1);
            let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).payload(&row.value);
            record.key = row.key.as_deref();
            while let Err((error, back)) = producer.send(record) {
                ensure!(error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull), error);
                std::thread::sleep(std::time::Duration::from_millis(1));
                record = back;
            }
        }
        producer.flush(RUN_TIMEOUT)?;
        let held: i64 = topics::end_offsets(kafka, &topic).into_iter().sum();
        ensure!(u64::try_from(held)? == records, "the topic has {held} of {records} visits");
        Ok(Self { topic, records, good, checksum: OnceCell::new(), headers_checksum: OnceCell::new() })
    }
}

/// Adds a field to a visit that is shorter. What is no object stays none.
fn lengthen(value: &mut String, min_bytes: usize) {
    const FIELD: &str = ", \"more\": \"\"}";
    let missing = min_bytes.saturating_sub(value.len() + FIELD.len() - 1);
    if missing > 0 && value.ends_with('}') {
        value.truncate(value.len() - 1);
        value.extend([&FIELD[..FIELD.len() - 2], &"x".repeat(missing), "\"}"]);
    } else if missing > 0 {
        value.push_str(&"x".repeat(missing));
    }
}
