//! Settings of the connection to Kafka.

use super::Kind::{Duration, Pairs, Switch, Text};
use super::Standard::{Described, Empty, Value};
use super::{Setting, setting};

pub(super) const HEADING: &str = "Kafka";

pub(super) const BROKERS_TEXT: &str = "Kafka brokers, as host:port,host:port";

pub(super) const KAFKA_PAIRS: Setting = setting(
    HEADING,
    "kafka",
    "KEY=VALUE",
    Pairs,
    Empty,
    "A librdkafka property, such as security.protocol=ssl or sasl.username=me. Repeat the flag for several. The \
         host refuses properties that delivery depends on, with the reason. In the variable, put ';' between entries, \
         or put each on a line of its own if a value contains a ';'",
);

pub(super) const KAFKA_ALLOW_CODE: Setting = setting(
    HEADING,
    "kafka-allow-code",
    "BOOL",
    Switch,
    Value("false"),
    "Allow properties of --kafka that load a library or run a command: plugin.library.paths, ssl.engine.location, \
         ssl.engine.id, ssl.providers, sasl.kerberos.kinit.cmd",
);

pub(super) const CONNECT_TIMEOUT: Setting = setting(
    HEADING,
    "connect-timeout",
    "DURATION",
    Duration,
    Value("30s"),
    "How long the host tries to connect to Kafka at the start",
);

pub(super) const SETTINGS: &[Setting] = &[
    setting(HEADING, "brokers", "LIST", Text, Described("a demo on an embedded broker"), BROKERS_TEXT),
    setting(HEADING, "group", "NAME", Text, Value("visits_reader"), "The consumer group"),
    CONNECT_TIMEOUT,
    setting(
        HEADING,
        "kafka-unready-after",
        "DURATION",
        Duration,
        Value("15s"),
        "How long Kafka may leave several requests in a row without an answer before /readyz reports it",
    ),
    setting(
        HEADING,
        "session-timeout",
        "DURATION",
        Duration,
        Value("45s"),
        "How long a host may be silent before the group gives its partitions to others. The default of the demo is 6s",
    ),
    KAFKA_PAIRS,
    KAFKA_ALLOW_CODE,
];
