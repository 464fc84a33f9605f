//! The headers of a dead letter, in order.

use std::fmt;

use super::Origin;
use super::names::{
    ATTEMPT, BACKTRACE, CONNECT_EXCEPTION, CONNECT_MESSAGE, CONNECT_OFFSET, CONNECT_PARTITION, CONNECT_TOPIC,
    CONNECT_TRACE, CUT, FAILURE, FINGERPRINT, KEY, KIND, PLUGIN, PLUGIN_DIGEST, PLUGIN_NAME, PLUGIN_VERSION, SOURCE,
    SOURCE_TIMESTAMP, VERSION_1,
};

/// The headers of the smallest dead letter.
pub(super) const ESSENTIAL: [&str; 6] = [CONNECT_TOPIC, CONNECT_PARTITION, CONNECT_OFFSET, KIND, SOURCE, FAILURE];

/// Which headers a dead letter has beside those of its record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderSet {
    /// Version 2: only what the envelope and the record do not contain, in at most five headers, unless the topic required a change of
    /// the record.
    #[default]
    Compact,
    /// Version 2 with the headers of Kafka Connect (KIP-298).
    Connect,
    /// Version 1: the headers of Kafka Connect, and one header for each fact.
    Full,
}

impl HeaderSet {
    pub const ALL: [Self; 3] = [Self::Compact, Self::Connect, Self::Full];
}

impl fmt::Display for HeaderSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compact => "compact",
            Self::Connect => "connect",
            Self::Full => "full",
        })
    }
}

/// The header values of a single dead letter. A header with an empty value is omitted.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Source,
    Failure,
    Backtrace,
    Topic,
    Partition,
    Offset,
    Kind,
    Message,
    Trace,
    Fingerprint,
    Attempt,
    TimestampMs,
    Key,
    Cut,
}
pub(super) const FIELDS: usize = Field::Cut as usize + 1;

pub(super) enum Value {
    Fixed(String),
    Field(Field),
}

pub(super) fn layout(set: HeaderSet, origin: &Origin) -> Vec<(&'static str, Value)> {
    match set {
        HeaderSet::Compact => version_2(origin),
        // The trace of Kafka Connect has the backtrace.
        HeaderSet::Connect => connect(origin).into_iter().chain(version_2(origin)).collect(),
        HeaderSet::Full => connect(origin).into_iter().chain(version_1(origin)).collect(),
    }
}

fn connect(origin: &Origin) -> Vec<(&'static str, Value)> {
    use Value::Fixed;
    vec![
        (CONNECT_TOPIC, Value::Field(Field::Topic)),
        (CONNECT_PARTITION, Value::Field(Field::Partition)),
        (CONNECT_OFFSET, Value::Field(Field::Offset)),
        ("__connect.errors.connector.name", Fixed(origin.group.clone())),
        ("__connect.errors.task.id", Fixed(origin.worker.to_string())),
        ("__connect.errors.stage", Fixed("TRANSFORMATION".to_owned())),
        ("__connect.errors.class.name", Fixed(origin.plugin_name.clone())),
        (CONNECT_EXCEPTION, Value::Field(Field::Kind)),
        (CONNECT_MESSAGE, Value::Field(Field::Message)),
        (CONNECT_TRACE, Value::Field(Field::Trace)),
    ]
}

fn version_1(origin: &Origin) -> Vec<(&'static str, Value)> {
    use Value::Fixed;
    vec![
        (VERSION_1, Fixed("1".to_owned())),
        (KIND, Value::Field(Field::Kind)),
        (FINGERPRINT, Value::Field(Field::Fingerprint)),
        (PLUGIN_NAME, Fixed(origin.plugin_name.clone())),
        (PLUGIN_VERSION, Fixed(origin.plugin_version.clone())),
        (PLUGIN_DIGEST, Fixed(origin.plugin_digest.clone())),
        ("mapper-host.contract", Fixed(origin.contract.to_owned())),
        ("mapper-host.group", Fixed(origin.group.clone())),
        (ATTEMPT, Value::Field(Field::Attempt)),
        (SOURCE_TIMESTAMP, Value::Field(Field::TimestampMs)),
        (KEY, Value::Field(Field::Key)),
        (CUT, Value::Field(Field::Cut)),
    ]
}

fn version_2(origin: &Origin) -> Vec<(&'static str, Value)> {
    let plugin = format!("{} {} {}", origin.plugin_name, origin.plugin_version, origin.plugin_digest);
    vec![
        (SOURCE, Value::Field(Field::Source)),
        (FAILURE, Value::Field(Field::Failure)),
        (PLUGIN, Value::Fixed(plugin)),
        (ATTEMPT, Value::Field(Field::Attempt)),
        (BACKTRACE, Value::Field(Field::Backtrace)),
        (SOURCE_TIMESTAMP, Value::Field(Field::TimestampMs)),
        (KEY, Value::Field(Field::Key)),
        (CUT, Value::Field(Field::Cut)),
    ]
}
