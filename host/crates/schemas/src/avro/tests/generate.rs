//! Random schemas, random values of them, and the JSON that is expected for these.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Name, UnionSchema};
use apache_avro::types::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::{Value as Json, json};

use crate::avro::time::{Form, Unit, write_duration};
use crate::avro::{Longs, Options, Times};

/// The named types of a schema, which refers to them by name after their declaration.
pub(super) type Names = HashMap<Name, Schema>;

/// Declares types with numbers as names.
pub(super) struct Generator<'r> {
    pub(super) rng: &'r mut SmallRng,
    named: usize,
    /// Declared types that a later part can refer to, and the records around it, which only a nullable part can refer to.
    declared: Vec<String>,
    around: Vec<String>,
}

impl<'r> Generator<'r> {
    pub(super) fn new(rng: &'r mut SmallRng) -> Self {
        Self { rng, named: 0, declared: Vec::new(), around: Vec::new() }
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("T{}", self.named)
    }

    /// A schema of at most so many levels.
    pub(super) fn schema(&mut self, levels: usize) -> Json {
        let kinds = if levels == 0 { 23 } else { 29 };
        match self.rng.random_range(0..kinds) {
            0 => json!("null"),
            1 => json!("boolean"),
            2 => json!("int"),
            3 => json!("long"),
            4 => json!("float"),
            5 => json!("double"),
            6 => json!("bytes"),
            7 => json!("string"),
            8 => json!({"type": "int", "logicalType": "date"}),
            9 => json!({"type": "int", "logicalType": "time-millis"}),
            10 => json!({"type": "long", "logicalType": "time-micros"}),
            11 => json!({"type": "long", "logicalType": "timestamp-millis"}),
            12 => json!({"type": "long", "logicalType": "timestamp-micros"}),
            13 => json!({"type": "long", "logicalType": "timestamp-nanos"}),
            14 => json!({"type": "long", "logicalType": "local-timestamp-millis"}),
            15 => json!({"type": "long", "logicalType": "local-timestamp-micros"}),
            16 => json!({"type": "long", "logicalType": "local-timestamp-nanos"}),
            17 => {
                let precision = self.rng.random_range(1..60);
                let scale = self.rng.random_range(0..=precision);
                json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
            }
            18 => {
                let fixed = json!({"type": "fixed", "name": self.name(), "size": self.rng.random_range(0..20)});
                self.declared.push(fixed["name"].as_str().unwrap().to_owned());
                fixed
            }
            19 => json!({"type": "fixed", "name": self.name(), "size": 12, "logicalType": "duration"}),
            20 => json!({"type": "fixed", "name": self.name(), "size": 16, "logicalType": "uuid"}),
            21 => {
                let symbols: Vec<String> = (0..self.rng.random_range(1..5)).map(|index| format!("S{index}")).collect();
                let name = self.name();
                self.declared.push(name.clone());
                json!({"type": "enum", "name": name, "symbols": symbols})
            }
            22 => match self.declared.len() {
                0 => json!("string"),
                declared => json!(self.declared[self.rng.random_range(0..declared)]),
            },
            23 => json!({"type": "array", "items": self.schema(levels - 1)}),
            24 => json!({"type": "map", "values": self.schema(levels - 1)}),
            25 | 26 => self.record(levels),
            _ => self.union(levels),
        }
    }

    fn record(&mut self, levels: usize) -> Json {
        let name = self.name();
        self.around.push(name.clone());
        let fields: Vec<Json> = (0..self.rng.random_range(0..5))
            .map(|index| json!({"name": format!("f{index}"), "type": self.schema(levels - 1)}))
            .collect();
        self.around.pop();
        self.declared.push(name.clone());
        json!({"type": "record", "name": name, "namespace": "", "fields": fields})
    }

    fn union(&mut self, levels: usize) -> Json {
        let mut branches: Vec<Json> = Vec::new();
        let mut tags: Vec<String> = Vec::new();
        for _ in 0..self.rng.random_range(1..5) {
            let declared = self.declared.len();
            let branch = match self.around.len() {
                // A record that contains itself.
                around if around > 0 && self.rng.random_bool(0.2) => {
                    json!(self.around[self.rng.random_range(0..around)])
                }
                _ => self.schema(levels - 1),
            };
            let tag = branch["name"].as_str().or(branch["type"].as_str()).or(branch.as_str());
            if let Some(tag) = tag.map(str::to_owned)
                && !tags.contains(&tag)
            {
                tags.push(tag);
                branches.push(branch);
            } else {
                self.declared.truncate(declared);
            }
        }
        // Values need an end.
        if !tags.iter().any(|tag| tag == "null") {
            branches.insert(self.rng.random_range(0..=branches.len()), json!("null"));
        }
        json!(branches)
    }
}

/// A value of a schema. With no levels left, unions are null and lists are empty.
pub(super) fn value(schema: &Schema, names: &Names, levels: usize, rng: &mut SmallRng) -> Value {
    let day = 86_400_000;
    let count = if levels == 0 { 0 } else { [0, 1, 2, 3, 70][rng.random_range(0..5)].min(3 * levels * levels) };
    match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(rng.random()),
        Schema::Int => Value::Int(integer(rng) as i32),
        Schema::Long => Value::Long(integer(rng)),
        Schema::Float => {
            Value::Float([rng.random::<f32>(), f32::from_bits(rng.random()), f32::NAN, -0.0][rng.random_range(0..4)])
                .canonical()
        }
        Schema::Double => Value::Double(
            [rng.random::<f64>(), f64::from_bits(rng.random()), f64::INFINITY, 1e300][rng.random_range(0..4)],
        )
        .canonical(),
        Schema::Bytes => Value::Bytes(bytes(rng)),
        Schema::String => Value::String(text(rng)),
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, (0..fixed.size).map(|_| rng.random()).collect()),
        Schema::Enum(declared) => {
            let index = rng.random_range(0..declared.symbols.len());
            Value::Enum(index as u32, declared.symbols[index].clone())
        }
        Schema::Array(array) => Value::Array((0..count).map(|_| value(&array.items, names, levels - 1, rng)).collect()),
        Schema::Map(map) => {
            Value::Map((0..count).map(|_| (text(rng), value(&map.types, names, levels - 1, rng))).collect())
        }
        Schema::Union(union) => {
            let variants = union.variants();
            let is_null = |schema: &Schema| matches!(schema, Schema::Null);
            let index = match levels {
                0 => variants.iter().position(is_null).unwrap(),
                _ => rng.random_range(0..variants.len()),
            };
            Value::Union(index as u32, Box::new(value(&variants[index], names, levels.saturating_sub(1), rng)))
        }
        Schema::Record(record) => Value::Record(
            record
                .fields
                .iter()
                .map(|field| (field.name.clone(), value(&field.schema, names, levels.saturating_sub(1), rng)))
                .collect(),
        ),
        Schema::Ref { name } => value(&names[name], names, levels, rng),
        Schema::Decimal(decimal) => {
            let digits = rng.random_range(1..=decimal.precision);
            let text: String = (0..digits).map(|_| char::from(rng.random_range(b'0'..=b'9'))).collect();
            let sign = if rng.random() { "-" } else { "" };
            let number: num_bigint::BigInt = format!("{sign}{text}").parse().unwrap();
            Value::Decimal(number.to_signed_bytes_be().into())
        }
        Schema::Uuid(_) => Value::Uuid(apache_avro::Uuid::from_bytes(rng.random())),
        Schema::Date => Value::Date(integer(rng) as i32),
        Schema::TimeMillis => Value::TimeMillis(rng.random_range(0..day)),
        Schema::TimeMicros => Value::TimeMicros(rng.random_range(0..i64::from(day) * 1000)),
        Schema::TimestampMillis => Value::TimestampMillis(integer(rng)),
        Schema::TimestampMicros => Value::TimestampMicros(integer(rng)),
        Schema::TimestampNanos => Value::TimestampNanos(integer(rng)),
        Schema::LocalTimestampMillis => Value::LocalTimestampMillis(integer(rng)),
        Schema::LocalTimestampMicros => Value::LocalTimestampMicros(integer(rng)),
        Schema::LocalTimestampNanos => Value::LocalTimestampNanos(integer(rng)),
        Schema::Duration(_) => Value::Duration(rng.random::<[u8; 12]>().into()),
        other => panic!("the generator has no {other:?}"),
    }
}

trait Canonical {
    fn canonical(self) -> Self;
}

impl Canonical for Value {
    /// The payload of a NaN has no form in JSON.
    fn canonical(self) -> Self {
        match self {
            Self::Float(number) if number.is_nan() => Self::Float(f32::NAN),
            Self::Double(number) if number.is_nan() => Self::Double(f64::NAN),
            other => other,
        }
    }
}

fn integer(rng: &mut SmallRng) -> i64 {
    let number: i64 = rng.random();
    [number >> rng.random_range(0..64), i64::MAX, i64::MIN, i64::from(i32::MIN), 0][rng.random_range(0..5)]
}

fn bytes(rng: &mut SmallRng) -> Vec<u8> {
    (0..rng.random_range(0..9)).map(|_| rng.random()).collect()
}

fn text(rng: &mut SmallRng) -> String {
    let chars = ['a', 'Z', '"', '\\', '\n', '\u{1}', 'é', '😀', '/', ' ', '\u{7f}'];
    (0..rng.random_range(0..9)).map(|_| chars[rng.random_range(0..chars.len())]).collect()
}

/// The JSON that the table of `docs/schemas.md` has for a value.
pub(super) fn expected(schema: &Schema, names: &Names, value: &Value, options: Options) -> Json {
    let is_iso = options.times == Times::Iso;
    let long = |number: i64| if options.longs == Longs::String { json!(number.to_string()) } else { json!(number) };
    let time = |form: Form, number: i64| {
        let mut out = Vec::new();
        form.write(number, &mut out).unwrap();
        if is_iso { serde_json::from_slice(&out).unwrap() } else { long(number) }
    };
    match (schema, value) {
        (Schema::Ref { name }, value) => expected(&names[name], names, value, options),
        (_, Value::Null) => Json::Null,
        (_, Value::Boolean(value)) => json!(value),
        (_, Value::Int(number)) => json!(number),
        (_, Value::Long(number)) => long(*number),
        // Two texts can be as short and as close, so those of `serde_json` are expected.
        (_, Value::Float(number)) if number.is_finite() => {
            serde_json::from_str(&serde_json::to_string(number).unwrap()).unwrap()
        }
        (_, Value::Double(number)) if number.is_finite() => json!(number),
        (_, Value::Float(number)) => not_finite(f64::from(*number)),
        (_, Value::Double(number)) => not_finite(*number),
        (_, Value::Bytes(bytes) | Value::Fixed(_, bytes)) => json!(STANDARD.encode(bytes)),
        (_, Value::String(text) | Value::Enum(_, text)) => json!(text),
        (Schema::Array(array), Value::Array(items)) => {
            items.iter().map(|item| expected(&array.items, names, item, options)).collect()
        }
        (Schema::Map(map), Value::Map(items)) => {
            items.iter().map(|(key, item)| (key.clone(), expected(&map.types, names, item, options))).collect()
        }
        (Schema::Record(record), Value::Record(fields)) => record
            .fields
            .iter()
            .zip(fields)
            .map(|(field, (name, value))| (name.clone(), expected(&field.schema, names, value, options)))
            .collect(),
        (Schema::Union(union), Value::Union(index, value)) => {
            let branch = &union.variants()[*index as usize];
            let inner = expected(branch, names, value, options);
            if inner.is_null() || !is_ambiguous(union, names, options) { inner } else { json!({tag(branch): inner}) }
        }
        (Schema::Decimal(decimal), Value::Decimal(value)) => {
            let bytes: Vec<u8> = value.try_into().unwrap();
            let number = num_bigint::BigInt::from_signed_bytes_be(&bytes);
            let digits = format!("{:0>width$}", number.magnitude().to_string(), width = decimal.scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - decimal.scale);
            let sign = if number.sign() == num_bigint::Sign::Minus { "-" } else { "" };
            let point = if decimal.scale > 0 { "." } else { "" };
            json!(format!("{sign}{whole}{point}{fraction}"))
        }
        (_, Value::Uuid(uuid)) => json!(uuid.to_string()),
        (_, Value::Duration(duration)) => {
            let bytes: [u8; 12] = (*duration).into();
            if !is_iso {
                return json!(STANDARD.encode(bytes));
            }
            let part = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            let mut out = Vec::new();
            write_duration([part(0), part(4), part(8)], &mut out);
            serde_json::from_slice(&out).unwrap()
        }
        (_, Value::Date(days)) if !is_iso => json!(days),
        (_, Value::TimeMillis(millis)) if !is_iso => json!(millis),
        (_, Value::Date(days)) => time(Form::Date, i64::from(*days)),
        (_, Value::TimeMillis(millis)) => time(Form::Time(Unit::Millis), i64::from(*millis)),
        (_, Value::TimeMicros(number)) => time(Form::Time(Unit::Micros), *number),
        (_, Value::TimestampMillis(number)) => time(Form::Timestamp(Unit::Millis), *number),
        (_, Value::TimestampMicros(number)) => time(Form::Timestamp(Unit::Micros), *number),
        (_, Value::TimestampNanos(number)) => time(Form::Timestamp(Unit::Nanos), *number),
        (_, Value::LocalTimestampMillis(number)) => time(Form::LocalTimestamp(Unit::Millis), *number),
        (_, Value::LocalTimestampMicros(number)) => time(Form::LocalTimestamp(Unit::Micros), *number),
        (_, Value::LocalTimestampNanos(number)) => time(Form::LocalTimestamp(Unit::Nanos), *number),
        (schema, value) => panic!("{value:?} is no value of {schema:?}"),
    }
}

fn not_finite(number: f64) -> Json {
    json!(if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    })
}

/// Whether two branches can have the same kind of JSON value.
fn is_ambiguous(union: &UnionSchema, names: &Names, options: Options) -> bool {
    let mut seen = Vec::new();
    for branch in union.variants() {
        for kind in kinds(branch, names, options) {
            if seen.contains(&kind) {
                return true;
            }
            seen.push(kind);
        }
    }
    false
}

fn kinds(schema: &Schema, names: &Names, options: Options) -> Vec<char> {
    let long = if options.longs == Longs::String { 's' } else { 'n' };
    let (int, long) = match schema {
        Schema::Int | Schema::Long => ('n', long),
        _ if options.times == Times::Iso => ('s', 's'),
        _ => ('n', long),
    };
    vec![match schema {
        Schema::Ref { name } => return kinds(&names[name], names, options),
        Schema::Float | Schema::Double => return vec!['n', 's'],
        Schema::Null => '0',
        Schema::Boolean => 'b',
        Schema::Int | Schema::Date | Schema::TimeMillis => int,
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => long,
        Schema::Array(_) => 'a',
        Schema::Map(_) | Schema::Record(_) => 'o',
        _ => 's',
    }]
}

fn tag(schema: &Schema) -> String {
    match schema {
        Schema::Ref { name } => name.fullname(None),
        Schema::Date | Schema::TimeMillis => "int".to_owned(),
        Schema::Decimal(decimal) => match &decimal.inner {
            apache_avro::schema::InnerDecimalSchema::Bytes => "bytes".to_owned(),
            apache_avro::schema::InnerDecimalSchema::Fixed(fixed) => fixed.name.fullname(None),
        },
        Schema::Uuid(apache_avro::schema::UuidSchema::Fixed(fixed)) | Schema::Duration(fixed) => {
            fixed.name.fullname(None)
        }
        Schema::Null
        | Schema::Boolean
        | Schema::Int
        | Schema::Long
        | Schema::Float
        | Schema::Double
        | Schema::Bytes
        | Schema::String
        | Schema::Array(_)
        | Schema::Map(_) => format!("{schema:?}").split(['(', ' ']).next().unwrap().to_lowercase(),
        named if named.name().is_some() => named.name().unwrap().fullname(None),
        _ => "long".to_owned(),
    }
}
