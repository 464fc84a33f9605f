//! The librdkafka properties that the host owns, because delivery or its loop depends on them.

/// What the host owns, and why. All others are the user's, and librdkafka says which it doesn't know
/// (its CONFIGURATION.md lists them).
const OWNED: [(&[&str], &str); 23] = [
    (&["bootstrap.servers", "metadata.broker.list"], "give the brokers with --brokers"),
    (&["group.id"], "give the consumer group with --group"),
    (&["transactional.id"], "give it with --transactional-id; each worker adds its own number"),
    (&["transaction.timeout.ms"], "give it with --transaction-timeout"),
    (&["session.timeout.ms"], "give it with --session-timeout"),
    (&["isolation.level"], "it is read_committed: exactly-once depends on it"),
    (
        &["enable.auto.commit", "auto.commit.enable", "auto.commit.interval.ms"],
        "it commits offsets with the outputs they stand for, never on a timer; see --commit-interval",
    ),
    (
        &["enable.auto.offset.store"],
        "it commits the offsets of records whose outputs are written, not of all that were read",
    ),
    (
        &["offset.store.method", "offset.store.path", "offset.store.sync.interval.ms"],
        "offsets are kept in Kafka, where they are committed with the outputs",
    ),
    (&["enable.partition.eof"], "it needs it for --until-end, and only then"),
    (&["enable.idempotence"], "it is true: without it a retry could write a record twice or out of order"),
    (&["enable.gapless.guarantee"], "it ends the producer for a record that could be sent again"),
    (&["acks", "request.required.acks"], "it is all: with less, an acknowledged output could be lost"),
    (
        &["max.in.flight", "max.in.flight.requests.per.connection"],
        "librdkafka sets what keeps the order of records within a partition",
    ),
    (
        &["retries", "message.send.max.retries"],
        "an outage is waited for, not counted: giving up early would only abort",
    ),
    (&["queuing.strategy", "msg_order_cmp"], "it is fifo: records of a partition keep their order"),
    (&["delivery.report.only.error"], "the sink decides which delivery reports it needs"),
    (
        &["group.instance.id"],
        "each worker is a member of the group, and two members with one instance id fence each other",
    ),
    (&["group.protocol.type"], "it is consumer: the host consumes"),
    (&["allow.auto.create.topics"], "a mistyped topic would be created; give --create-topics PARTITIONS instead"),
    (&["log.queue"], "librdkafka logs into the log of the host; see --log-level"),
    (&["enabled_events"], "the events are those that the client library reads"),
    (
        &["test.mock.num.brokers", "test.mock.broker.rtt", "ut_handle_ProduceResponse"],
        "it is for librdkafka's own tests; without --brokers you get an embedded broker",
    ),
];

/// Why a property is not the user's to set; `None` if it is.
pub(crate) fn owned(key: &str) -> Option<&'static str> {
    // librdkafka drops this prefix from what it doesn't know otherwise (rd_kafka_topic_conf_set).
    let bare = key.strip_prefix("topic.").unwrap_or(key);
    OWNED.iter().find(|(keys, _)| keys.contains(&key) || keys.contains(&bare)).map(|(_, reason)| *reason)
}
