//! The headers of a dead letter, in order.

use super::Origin;
use super::headers::{KEY, SOURCE_TIMESTAMP};

/// The version of the headers of the host.
const HEADERS_VERSION: &str = "1";
/// The headers of the smallest dead letter.
pub(super) const ESSENTIAL: [&str; 4] =
    ["__connect.errors.topic", "__connect.errors.partition", "__connect.errors.offset", "mapper-host.kind"];

/// The header values of a single dead letter. A header with an empty value is omitted.
#[derive(Clone, Copy)]
pub(super) enum Field {
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

pub(super) fn layout(origin: &Origin) -> Vec<(&'static str, Value)> {
    use Value::Fixed;
    vec![
        ("__connect.errors.topic", Value::Field(Field::Topic)),
        ("__connect.errors.partition", Value::Field(Field::Partition)),
        ("__connect.errors.offset", Value::Field(Field::Offset)),
        ("__connect.errors.connector.name", Fixed(origin.group.clone())),
        ("__connect.errors.task.id", Fixed(origin.worker.to_string())),
        ("__connect.errors.stage", Fixed("TRANSFORMATION".to_owned())),
        ("__connect.errors.class.name", Fixed(origin.plugin_name.clone())),
        ("__connect.errors.exception.class.name", Value::Field(Field::Kind)),
        ("__connect.errors.exception.message", Value::Field(Field::Message)),
        ("__connect.errors.exception.stacktrace", Value::Field(Field::Trace)),
        ("mapper-host.headers", Fixed(HEADERS_VERSION.to_owned())),
        ("mapper-host.kind", Value::Field(Field::Kind)),
        ("mapper-host.fingerprint", Value::Field(Field::Fingerprint)),
        ("mapper-host.plugin.name", Fixed(origin.plugin_name.clone())),
        ("mapper-host.plugin.version", Fixed(origin.plugin_version.clone())),
        ("mapper-host.plugin.digest", Fixed(origin.plugin_digest.clone())),
        ("mapper-host.contract", Fixed(origin.contract.to_owned())),
        ("mapper-host.group", Fixed(origin.group.clone())),
        ("mapper-host.attempt", Value::Field(Field::Attempt)),
        (SOURCE_TIMESTAMP, Value::Field(Field::TimestampMs)),
        (KEY, Value::Field(Field::Key)),
        ("mapper-host.cut", Value::Field(Field::Cut)),
    ]
}
