//! The librdkafka properties of the user: names and aliases, properties that the host owns, properties that run code, and values
//! that are secret.

mod table;

#[cfg(test)]
mod tests;

pub use table::Form;
use table::{ALIASES, PROPERTIES, TOPIC_PROPERTIES};

/// The properties that the host owns, each with the reason. The user may set all others.
const OWNED: [(&[&str], &str); 22] = [
    (&["bootstrap.servers"], "give the brokers with --brokers"),
    (&["group.id"], "give the consumer group with --group"),
    (&["transactional.id"], "give it with --transactional-id; each worker adds its own number"),
    (&["transaction.timeout.ms"], "give it with --transaction-timeout"),
    (&["session.timeout.ms"], "give it with --session-timeout"),
    (&["isolation.level"], "it is read_committed: exactly-once depends on it"),
    (
        &["enable.auto.commit", "auto.commit.interval.ms"],
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
    (&["enable.partition.eof"], "it is true: the host commits the end of a partition, and --until-end needs it"),
    (&["enable.idempotence"], "it is true: without it a retry could write a record twice or out of order"),
    (&["enable.gapless.guarantee"], "it ends the producer for a record that could be sent again"),
    (&["acks"], "it is all: with less, an acknowledged output could be lost"),
    (&["max.in.flight.requests.per.connection"], "librdkafka sets what keeps the order of records within a partition"),
    (&["retries"], "an outage is waited for, not counted: giving up early would only abort"),
    (&["queuing.strategy"], "it is fifo: records of a partition keep their order"),
    (&["delivery.report.only.error"], "the sink decides which delivery reports it needs"),
    (
        &["group.instance.id"],
        "each worker is a member of the group, and two members with one instance id fence each other",
    ),
    (&["group.protocol.type"], "it is consumer: the host consumes"),
    (&["allow.auto.create.topics"], "a mistyped topic would be created; give --create-topics PARTITIONS instead"),
    (&["log.queue", "enabled_events"], "its log and its events are read by the client library; see --log-level"),
    (
        &["test.mock.num.brokers", "test.mock.broker.rtt"],
        "it is for librdkafka's own tests; without --brokers you get an embedded broker",
    ),
];

/// librdkafka inserts the values of these properties into a shell command (`sasl.kerberos.kinit.cmd`).
const IN_COMMAND: [&str; 2] = ["sasl.kerberos.principal", "sasl.kerberos.keytab"];

/// A property of librdkafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    /// The name; its aliases are replaced by it.
    pub name: &'static str,
    pub form: Form,
}

/// Finds a property by name or alias. Names are case-sensitive, as in librdkafka.
pub fn find(name: &str) -> Option<Property> {
    find_name(name).or_else(|| {
        // librdkafka ignores this prefix of topic properties (`rd_kafka_topic_conf_set`).
        find_name(name.strip_prefix("topic.")?).filter(|property| TOPIC_PROPERTIES.contains(&property.name))
    })
}

fn find_name(name: &str) -> Option<Property> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    PROPERTIES.iter().find(|(known, _)| *known == name).map(|(name, form)| Property { name, form: *form })
}

/// All names and aliases, without the prefix `topic.`.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROPERTIES.iter().map(|(name, _)| *name).chain(ALIASES.iter().map(|(alias, _)| *alias))
}

impl Property {
    /// The reason why the user must not set it; `None` if the user may.
    pub fn owned(self) -> Option<&'static str> {
        OWNED.iter().find(|(names, _)| names.contains(&self.name)).map(|(_, reason)| *reason)
    }

    /// The reason why this value makes librdkafka run other code; `None` if it does not.
    pub fn runs_code(self, value: &str) -> Option<&'static str> {
        match self.form {
            Form::Code if self.name == "sasl.kerberos.kinit.cmd" => Some("it is a shell command that librdkafka runs"),
            Form::Code => Some("librdkafka loads a library for it"),
            _ if IN_COMMAND.contains(&self.name) && !value.chars().all(is_harmless_in_shell) => {
                Some("librdkafka puts it into a shell command, and it has characters that mean something to a shell")
            }
            _ => None,
        }
    }

    /// Whether messages may contain this value. Text of credential properties is hidden, because a user can confuse them.
    pub fn shows(self, value: &str) -> bool {
        match self.form {
            Form::Number => value.parse::<f64>().is_ok(),
            Form::Switch => matches!(value, "true" | "false"),
            Form::Word | Form::Text => true,
            Form::Private | Form::Code | Form::Callback => false,
        }
    }

    /// The value without surrounding white space, unless it can be part of the value.
    pub fn trimmed(self, value: &str) -> &str {
        if matches!(self.form, Form::Number | Form::Switch | Form::Word) || self.name == "sasl.mechanism" {
            value.trim()
        } else {
            value
        }
    }
}

fn is_harmless_in_shell(c: char) -> bool {
    c.is_alphanumeric() || "._-/@:+,=".contains(c)
}
