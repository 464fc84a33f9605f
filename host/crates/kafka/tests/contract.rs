//! The source and the sink on a real Kafka keep the contract that the pipeline relies on, and that the simulated ones keep, too.

use std::sync::Arc;
use std::time::Duration;

use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use mapper_core::decision::{RouteIndex, Routes};
use mapper_core::delivery::Delivery;
use mapper_core::input_topics::InputTopics;
use mapper_core::pairs::Pairs;
use mapper_core::shutdown::Shutdown;
use mapper_core::topic_table::TopicTable;
use mapper_core::topics::{TopicId, TopicIdentity};
use mapper_kafka::policy::{InputPolicy, OnGap, OnTopicRecreated};
use mapper_kafka::setup::Setup;
use mapper_kafka::{Input, InputContext, KafkaSettings, KafkaSink, KafkaSource, TopicEvents};
use mapper_pipeline::SourceObserver;
use mapper_pipeline::contracts::PartitionPosition;
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
        let kafka = Kafka::shared();
        let [input, output, compacted, letters] = ["input", "output", "compacted", "letters"].map(topics::unique);
        topics::create(kafka, &input, 2, &[]);
        topics::create(kafka, &output, 1, &[]);
        topics::create(kafka, &compacted, 1, &[("cleanup.policy", "compact")]);
        topics::create(kafka, &letters, 1, &[]);
        // The simulated group rebalances eagerly, too.
        let properties = [
            ("partition.assignment.strategy", "range".to_owned()),
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
        let routes =
            setup.read_routes(&[output.as_str(), compacted.as_str()], &letters).expect("the output topics are there");
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
