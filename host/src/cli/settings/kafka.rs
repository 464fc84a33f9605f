//! Settings of how Kafka is reached.

use super::Kind::{Duration, Pairs, Switch, Text};
use super::Standard::{Empty, Told, Value};
use super::{Setting, setting};

pub(super) const HEADING: &str = "Kafka";

pub(super) const BROKERS_TEXT: &str = "Kafka brokers, as host:port,host:port";

pub(super) const KAFKA_PAIRS: Setting = setting(
    HEADING,
    "kafka",
    "KEY=VALUE",
    Pairs,
    Empty,
    "A librdkafka property, such as \
     security.protocol=ssl or sasl.username=me; repeat it for more. Those that delivery depends on belong to the host and \
     are refused with the reason. In the variable, entries stand in one line between ';', or in lines of their own: then a value \
     may have a ';' in it",
);

pub(super) const KAFKA_ALLOW_CODE: Setting = setting(
    HEADING,
    "kafka-allow-code",
    "BOOL",
    Switch,
    Value("false"),
    "Allow properties of --kafka that load a library or run a command: plugin.library.paths, ssl.engine.location, ssl.engine.id, \
     ssl.providers, sasl.kerberos.kinit.cmd",
);

pub(super) const CONNECT_TIMEOUT: Setting = setting(
    HEADING,
    "connect-timeout",
    "DURATION",
    Duration,
    Value("30s"),
    "How long to try to reach Kafka at the start",
);

pub(super) const SETTINGS: &[Setting] = &[
    setting(HEADING, "brokers", "LIST", Text, Told("a demo on an embedded broker"), BROKERS_TEXT),
    setting(HEADING, "group", "NAME", Text, Value("visits_reader"), "The consumer group"),
    CONNECT_TIMEOUT,
    setting(
        HEADING,
        "kafka-unready-after",
        "DURATION",
        Duration,
        Value("15s"),
        "How long Kafka may leave questions unanswered, several in a row, before /readyz says that the host is not ready",
    ),
    setting(
        HEADING,
        "session-timeout",
        "DURATION",
        Duration,
        Value("45s"),
        "How long a host may be silent before its partitions are given to others",
    ),
    KAFKA_PAIRS,
    KAFKA_ALLOW_CODE,
];
