//! Records at known positions, read from a real Kafka.

use std::time::Duration;

use harness::changes;
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use mapper_core::delivery::Delivery;
use mapper_core::pairs::Pairs;
use mapper_core::record::Batch;
use mapper_core::shutdown::Shutdown;
use mapper_kafka::{KafkaSettings, PositionReader};

const RECORDS: i64 = 3_000;
const LIMIT: Duration = Duration::from_secs(60);

fn settings(kafka: &Kafka) -> KafkaSettings {
    KafkaSettings {
        brokers: kafka.brokers().to_owned(),
        group: String::new(),
        delivery: Delivery::AtLeastOnce,
        properties: Pairs::default(),
        transaction_timeout: LIMIT,
        session_timeout: Duration::ZERO,
        workers: 1,
    }
}

#[test]
fn records_at_positions_are_read_in_order_and_again_with_one_client() {
    let kafka = Kafka::shared();
    let topic = topics::unique("positions");
    topics::create(kafka, &topic, 3, &[]);
    let value = |partition: i32, offset: i64| format!("{partition}@{offset} {}", "x".repeat(500));
    for partition in 0..3 {
        let records = (0..RECORDS).map(|offset| NewRecord::value(value(partition, offset)).partition(partition));
        topics::produce(kafka, &topic, records);
    }
    let (mut reader, cancel) = (PositionReader::new(&settings(kafka), &topic), Shutdown::default());
    let mut read = |positions: &[(i32, i64)], max_bytes| {
        let mut batch = Batch::new(topic.as_str());
        reader.read(positions, &mut batch, max_bytes, (LIMIT, &cancel)).expect("records");
        for record in batch.records() {
            let expected = value(record.partition(), record.offset());
            assert_eq!(record.value(), Some(expected.as_bytes()));
        }
        batch.records().map(|record| (record.partition(), record.offset())).collect::<Vec<_>>()
    };
    for round in 0..60 {
        let offsets = [round, round + 1, round + 700, RECORDS - 1 - round];
        let positions: Vec<_> = (0..3).flat_map(|partition| offsets.map(|offset| (partition, offset))).collect();
        assert_eq!(read(&positions, usize::MAX), positions);
        assert_eq!(read(&[(1, RECORDS - 1)], usize::MAX), [(1, RECORDS - 1)]);
        assert_eq!(read(&[(1, 5)], usize::MAX), [(1, 5)]);
    }
    let all: Vec<_> = (0..RECORDS).map(|offset| (2, offset)).collect();
    assert_eq!(read(&all, usize::MAX), all);
    let part = read(&all, 100_000);
    assert!(part.len() < 250 && all.starts_with(&part), "{}", part.len());
    changes::delete_records(kafka, &topic, 0, 1_000);
    assert_eq!(read(&[(0, 10), (0, 1_500)], usize::MAX), [(0, 1_500)]);
    assert_eq!(read(&[], usize::MAX), []);
}
