//! The same by other implementations of Avro: `serde_avro_fast`, field by field without a value in between, and `apache-avro`, through its
//! values. Neither has the forms of `docs/schemas.md`: times are numbers, and unions have no tags.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_avro_fast::de::DeserializerState;
use serde_avro_fast::ser::{SerializerConfig, SerializerState};

use super::{VISITS, nanoseconds};

const VISIT: &str = include_str!("visit.avsc");
const REDUCED: &str = include_str!("reduced.avsc");
/// The id of the schema before each value.
const PREFIX: usize = 5;

pub(crate) fn measure(reduced: &[String], wire: &[Vec<u8>]) {
    fast(reduced, wire);
    apache(reduced, wire);
}

fn print(name: &str, wire: &[Vec<u8>], json: usize, [decode, encode, encode_visit]: [f64; 3]) {
    let bytes = wire.iter().map(Vec::len).sum::<usize>() / VISITS;
    println!(
        "| {name} | AVRO | {bytes} | {json} | {decode:.0} | {encode:.0} | {:.0} | {encode_visit:.0} |",
        decode + encode
    );
}

fn fast(reduced: &[String], wire: &[Vec<u8>]) {
    let visit: serde_avro_fast::Schema = VISIT.parse().expect("a schema");
    let output: serde_avro_fast::Schema = REDUCED.parse().expect("a schema");
    let decode = |value: &[u8], out: &mut Vec<u8>| {
        let mut state = DeserializerState::from_slice(&value[PREFIX..], &visit);
        serde_transcode::transcode(state.deserializer(), &mut serde_json::Serializer::new(out)).expect("a visit");
    };
    let encode = |json: &str, config: &mut SerializerConfig<'_>, out: &mut Vec<u8>| {
        let mut state = SerializerState::from_writer(out, config);
        serde_transcode::transcode(&mut serde_json::Deserializer::from_str(json), state.serializer()).expect("a value");
    };
    let texts: Vec<String> = wire.iter().map(|value| text(|out| decode(value, out))).collect();
    let mut out = Vec::new();
    let decode = nanoseconds(&mut out, wire, |value, out| decode(value, out));
    let json = out.len() / VISITS;
    let (mut visit_config, mut output_config) = (SerializerConfig::new(&visit), SerializerConfig::new(&output));
    let encode_output = nanoseconds(&mut out, reduced, |value, out| encode(value, &mut output_config, out));
    let encode_visit = nanoseconds(&mut out, &texts, |value, out| encode(value, &mut visit_config, out));
    print("serde_avro_fast 2.1", wire, json, [decode, encode_output, encode_visit]);
}

fn apache(reduced: &[String], wire: &[Vec<u8>]) {
    let visit = apache_avro::Schema::parse_str(VISIT).expect("a schema");
    let output = apache_avro::Schema::parse_str(REDUCED).expect("a schema");
    let reader = GenericDatumReader::builder(&visit).build().expect("a reader");
    let decode = |value: &[u8], out: &mut Vec<u8>| {
        let value = reader.read_value(&mut &value[PREFIX..]).expect("a visit");
        serde_json::to_writer(out, &serde_json::Value::try_from(value).expect("JSON")).expect("a vector takes all");
    };
    let encode = |json: &str, schema: &apache_avro::Schema, writer: &GenericDatumWriter<'_>, out: &mut Vec<u8>| {
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        let value = to_avro(value).resolve(schema).expect("a value of the schema");
        writer.write_value(out, value).expect("a vector takes all");
    };
    let texts: Vec<String> = wire.iter().map(|value| text(|out| decode(value, out))).collect();
    let mut out = Vec::new();
    let decode = nanoseconds(&mut out, wire, |value, out| decode(value, out));
    let json = out.len() / VISITS;
    let writer = |schema| GenericDatumWriter::builder(schema).build().expect("a writer");
    let (visit_writer, output_writer) = (writer(&visit), writer(&output));
    let encode_output = nanoseconds(&mut out, reduced, |value, out| encode(value, &output, &output_writer, out));
    let encode_visit = nanoseconds(&mut out, &texts, |value, out| encode(value, &visit, &visit_writer, out));
    print("apache-avro 0.22", wire, json, [decode, encode_output, encode_visit]);
}

fn to_avro(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(number) => Value::Long(number.as_i64().expect("an integer")),
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().map(to_avro).collect()),
        serde_json::Value::Object(fields) => {
            Value::Record(fields.into_iter().map(|(key, value)| (key, to_avro(value))).collect())
        }
    }
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("text")
}
