//! The source and the sink on a real Kafka keep the contract that the pipeline relies on, and that the simulated ones keep, too.

use std::sync::Arc;
use std::time::Duration;

use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use mapper_core::decision::{RouteIndex, Routes};
use mapper_core::delivery::Delivery;
use mapper_core::input_topics::InputTopics;
use mapper_core::pairs::Pairs;
use mapper_core::record::{Batch, Position};
use mapper_core::shutdown::Shutdown;
use mapper_core::topic_table::TopicTable;
use mapper_core::topics::{TopicId, TopicIdentity};
use mapper_kafka::policy::{InputPolicy, OnGap, OnTopicRecreated};
use mapper_kafka::setup::Setup;
use mapper_kafka::{Input, InputContext, KafkaSettings, KafkaSink, KafkaSource, TopicEvents};
use mapper_pipeline::SourceObserver;
use mapper_pipeline::contracts::{Fetched, PartitionPosition, Source as _};
use mapper_pipeline::simulation::contract::{TestCluster, TestWorker};
use mapper_state::in_flight::InFlightMarkers;

/// The shortest that a broker allows by default. A rebalance waits as long for a member that does not answer.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// The topics of these tests do not change.
struct NoEvents;

impl TopicEvents for NoEvents {
    fn known(&self, _: &str) -> Option<TopicIdentity> {
        None
    }

    fn keep(&self, _: &str, _: &TopicIdentity) {}

    fn recreated(&self, _: &str, _: Option<&TopicId>, _: Option<&TopicId>, _: &str) {}

    fn shortened(&self, _: &str, _: i32, _: i64, _: i64) {}

    fn deleted_unread(&self, _: &str, _: i32, _: i64, _: i64) {}

    fn missed(&self, _: &str, _: i32, _: i64, _: i64) {}
}

struct NoObserver;

impl SourceObserver for NoObserver {
    fn set_member(&self, _: bool) {}

    fn set_positions(&self, _: &mut dyn Iterator<Item = PartitionPosition>) {}
}

/// Topics and a group of their own on the broker of all tests.
struct RealCluster {
    kafka: &'static Kafka,
    settings: KafkaSettings,
    input: Arc<Input>,
    routes: Arc<Routes>,
    /// Distinguishes transactional ids from those of other tests.
    prefix: String,
}

impl RealCluster {
    fn new() -> Self {
        // The simulated group rebalances eagerly, too.
        Self::with_assignor("range")
    }

    fn with_assignor(assignor: &str) -> Self {
        let kafka = Kafka::shared();
        let [input, output, compacted, letters] = ["input", "output", "compacted", "letters"].map(topics::unique);
        topics::create(kafka, &input, 2, &[]);
        topics::create(kafka, &output, 1, &[]);
        topics::create(kafka, &compacted, 1, &[("cleanup.policy", "compact")]);
        topics::create(kafka, &letters, 1, &[]);
        let properties = [
            ("partition.assignment.strategy", assignor.to_owned()),
            ("max.poll.interval.ms", SESSION_TIMEOUT.as_millis().to_string()),
        ];
        let settings = KafkaSettings {
            brokers: kafka.brokers().to_owned(),
            group: topics::unique("group"),
            delivery: Delivery::ExactlyOnce,
            properties: Pairs(properties.map(|(name, value)| (name.to_owned(), value)).to_vec()),
            transaction_timeout: Duration::from_secs(60),
            session_timeout: SESSION_TIMEOUT,
            workers: 1,
        };
        let setup = Setup::connect(&settings, CONNECT_TIMEOUT, &Shutdown::default()).expect("the broker answers");
        let policy = InputPolicy {
            on_topic_recreated: OnTopicRecreated::Halt,
            on_gap: OnGap::Halt,
            input_is_dead_letters: false,
        };
        let context = InputContext {
            table: Arc::new(TopicTable::one(input.as_str())),
            until: None,
            policy,
            written: Vec::new(),
            events: Arc::new(NoEvents),
            markers: Arc::new(InFlightMarkers::none()),
        };
        let topics = InputTopics::one(input.as_str());
        let input = setup.resolve_input(&topics, topics.names(), true, context).expect("the input topic is there");
        let routes = setup
            .read_routes(&[output.as_str(), compacted.as_str()], &letters, None)
            .expect("the output topics are there");
        Self { kafka, settings, input, routes: Arc::new(routes), prefix: topics::unique("contract") }
    }
}

impl RealCluster {
    fn topic(&self) -> &str {
        self.input.topics.single().expect("one topic")
    }
}

impl TestCluster for RealCluster {
    type Source = KafkaSource;
    type Sink = KafkaSink;

    fn join(&mut self, transactional_id: &str) -> TestWorker<KafkaSource, KafkaSink> {
        let source = KafkaSource::new(&self.settings, self.input.clone(), Arc::new(NoObserver));
        let source = source.expect("the consumer is made");
        let id = format!("{}-{transactional_id}", self.prefix);
        let topics = (self.input.clone(), self.routes.clone());
        let sink = KafkaSink::new(self.settings.clone(), Some(id), topics, source.member(), Shutdown::default());
        TestWorker { source, sink }
    }

    fn append(&mut self, partition: i32, value: &str) {
        topics::produce(self.kafka, self.topic(), [NewRecord::value(value).partition(partition)]);
    }

    fn read_committed(&mut self, route: RouteIndex) -> Vec<String> {
        let records = topics::read_all(self.kafka, &self.routes.get(route).topic);
        let value = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap_or_default()).expect("values are text");
        records.into_iter().map(|record| value(record.value)).collect()
    }

    fn committed(&mut self, partition: i32) -> Option<i64> {
        let committed = topics::committed(self.kafka, &self.settings.group, self.topic());
        committed.into_iter().find(|(number, _)| *number == partition).and_then(|(_, offset)| offset)
    }
}

mapper_pipeline::source_and_sink_contract!(RealCluster::new());

/// The rounds of a test in which the members of a group take turns.
const MAX_ROUNDS: usize = 30;

/// The positions of records until the source has none for some time. It applies each rebalance.
fn read_all(source: &mut KafkaSource, max_records: usize) -> Vec<Position> {
    let (mut batch, mut positions, mut idle) = (Batch::new("visits"), Vec::new(), 0);
    while idle < 20 {
        match source.fetch(&mut batch, max_records, Duration::from_millis(50)).expect("a fetch") {
            Fetched::Records => {
                positions.extend(batch.records().map(|record| record.position()));
                idle = 0;
            }
            Fetched::Idle => idle += 1,
            _ => source.settle().expect("a rebalance"),
        }
    }
    positions
}

/// librdkafka 2.12 counts the end of a partition as a record, if one call takes many. A cooperative rebalance goes on at the position.
#[test]
fn record_behind_a_backlog_is_read_after_a_cooperative_rebalance() {
    let mut cluster = RealCluster::with_assignor("cooperative-sticky");
    let values: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    for partition in 0..2 {
        let records = values.iter().map(|value| NewRecord::value(value.as_str()).partition(partition));
        topics::produce(cluster.kafka, cluster.topic(), records);
    }
    let mut first = cluster.join("first");
    while first.source.attend(Duration::from_millis(100)).expect("the group") == Fetched::Idle {}
    first.source.settle().expect("the partitions");
    // So that the ends are in the queue when the source takes the backlog.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(read_all(&mut first.source, 5).len(), 20, "full batches, then the ends");
    (0..2).for_each(|partition| cluster.append(partition, "new"));
    std::thread::sleep(Duration::from_secs(1));
    let mut second = cluster.join("second");
    // The group takes a partition away before the first worker fetches again.
    while first.source.attend(Duration::from_millis(100)).expect("the group") == Fetched::Idle {}
    first.source.settle().expect("a rebalance");
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    for _ in 0..MAX_ROUNDS {
        of_first.extend(read_all(&mut first.source, 5));
        of_second.extend(read_all(&mut second.source, 5));
        if of_second.len() == 11 {
            break;
        }
    }
    let moved = of_second.first().map(|(partition, _)| *partition);
    assert_eq!(of_second.len(), 11, "nothing is committed, so the second worker begins at the first record");
    let kept = (0..2).find(|partition| Some(*partition) != moved).expect("one partition");
    assert!(of_first.contains(&(kept, 10)), "{of_first:?}");
}
