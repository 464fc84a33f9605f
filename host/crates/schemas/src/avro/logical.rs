//! Logical types: which have a JSON form of their own.

use serde_json::{Map, Value};

use super::Node;
use super::decimal::Decimal;
use super::time::{Form, Unit};

/// The JSON form of dates and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Times {
    /// Text as in ISO 8601.
    #[default]
    Iso,
    /// The value as Avro has it: a number of days, or of units since midnight or 1970.
    Epoch,
}

/// The JSON form of `long`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Longs {
    #[default]
    Number,
    /// A string: the numbers of JavaScript have 53 bits.
    String,
}

/// The JSON forms that a user can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Options {
    pub times: Times,
    pub longs: Longs,
}

/// The node of a type with these attributes. As the specification demands, a logical type that is unknown or does not fit the type is
/// ignored.
pub(super) fn node(base: Node, attributes: &Map<String, Value>, options: Options) -> Node {
    let name = attributes.get("logicalType").and_then(Value::as_str).unwrap_or_default();
    let number =
        |key: &str| attributes.get(key).map(|value| value.as_u64().and_then(|value| usize::try_from(value).ok()));
    if name == "decimal"
        && let Node::Bytes | Node::Fixed(_) = base
    {
        let size = if let Node::Fixed(size) = base { Some(size) } else { None };
        let scale = number("scale").unwrap_or(Some(0));
        let decimal = number("precision")
            .flatten()
            .zip(scale)
            .and_then(|(precision, scale)| Decimal::new(precision, scale, size));
        return decimal.map_or(base, Node::Decimal);
    }
    let has_text = options.times == Times::Iso;
    let form = match (&base, name) {
        (Node::Fixed(16), "uuid") => return Node::Uuid,
        (Node::Fixed(12), "duration") if has_text => return Node::Duration,
        (Node::Int, "date") => Form::Date,
        (Node::Int, "time-millis") => Form::Time(Unit::Millis),
        (Node::Long, "time-micros") => Form::Time(Unit::Micros),
        (Node::Long, "timestamp-millis") => Form::Timestamp(Unit::Millis),
        (Node::Long, "timestamp-micros") => Form::Timestamp(Unit::Micros),
        (Node::Long, "timestamp-nanos") => Form::Timestamp(Unit::Nanos),
        (Node::Long, "local-timestamp-millis") => Form::LocalTimestamp(Unit::Millis),
        (Node::Long, "local-timestamp-micros") => Form::LocalTimestamp(Unit::Micros),
        (Node::Long, "local-timestamp-nanos") => Form::LocalTimestamp(Unit::Nanos),
        _ => return plain(base, options),
    };
    if has_text { Node::Time(form) } else { plain(base, options) }
}

/// The node of a type without a logical type.
fn plain(base: Node, options: Options) -> Node {
    match (base, options.longs) {
        (Node::Long, Longs::String) => Node::LongText,
        (base, _) => base,
    }
}
