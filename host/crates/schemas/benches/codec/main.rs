//! The cost of decoding visits and encoding outputs, beside other implementations of Avro; and damaged values, which must end as a
//! value or as an error.
//!
//! `cargo bench -p mapper-schemas`, with `-- --damaged N` for the number of damaged values of each format.

#[path = "../../src/damage.rs"]
mod damage;
mod others;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mapper_schemas::{
    Decoder, Encoder, Format, Identifier, InputFormat, LookupError, SchemaCache, SchemaId, SchemaSettings,
    SchemaSource, SchemaText, SubjectVersion,
};
use mapper_visits::{Generator, Profile};
use rand::SeedableRng;
use rand::rngs::SmallRng;

const VISITS: usize = 2000;
const ROUNDS: usize = 41;

/// The schemas of visits and of outputs: the same fields in each format.
const SCHEMAS: [(u32, Format, &str); 6] = [
    (1, Format::Avro, include_str!("visit.avsc")),
    (2, Format::Avro, include_str!("reduced.avsc")),
    (3, Format::Protobuf, include_str!("visit.proto")),
    (4, Format::Protobuf, include_str!("reduced.proto")),
    (5, Format::JsonSchema, include_str!("visit.schema.json")),
    (6, Format::JsonSchema, include_str!("reduced.schema.json")),
];

struct Registry(HashMap<u32, SchemaText>);

impl SchemaSource for Registry {
    fn by_id(&self, id: u32) -> Result<SchemaText, LookupError> {
        self.0.get(&id).cloned().ok_or_else(|| LookupError::NotFound("not found".into()))
    }

    fn by_guid(&self, _: [u8; 16]) -> Result<SchemaText, LookupError> {
        Err(LookupError::NotFound("not found".into()))
    }

    fn latest(&self, _: &str) -> Result<SubjectVersion, LookupError> {
        Err(LookupError::NotFound("not found".into()))
    }

    fn version(&self, _: &str, _: u32) -> Result<SubjectVersion, LookupError> {
        Err(LookupError::NotFound("not found".into()))
    }

    fn register(&self, _: &str, _: &SchemaText) -> Result<u32, LookupError> {
        Err(LookupError::NotFound("not found".into()))
    }
}

type Cache = Arc<SchemaCache<Registry>>;

fn encoder(cache: &Cache, id: u32) -> Encoder {
    let schema = cache.get(SchemaId::Id(id)).expect("an answer").expect("a valid schema");
    Encoder::new(schema, "visits-value", None, Identifier::Prefix).expect("an encoder")
}

fn encoded(encoder: &Encoder, values: &[String]) -> Vec<Vec<u8>> {
    let encode = |value: &String| {
        let mut out = Vec::new();
        encoder.encode(value.as_bytes(), &mut out).unwrap_or_else(|error| panic!("{error}: {value}"));
        out
    };
    values.iter().map(encode).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let damaged =
        args.iter().position(|arg| arg == "--damaged").map_or(100_000, |at| args[at + 1].parse().expect("a number"));
    let texts =
        SCHEMAS.map(|(id, format, text)| (id, SchemaText { format, text: text.to_owned(), references: Vec::new() }));
    let cache: Cache = Arc::new(SchemaCache::new(Registry(texts.into()), SchemaSettings::default()));
    let (visits, reduced) = values();
    println!(
        "| implementation | format | bytes | as JSON | decode a visit, ns | encode an output, ns | both, ns | encode a visit, ns |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (visit, output) in [(1, 2), (3, 4), (5, 6)] {
        measure(&cache, visit, output, &visits, &reduced);
    }
    others::measure(&reduced, &encoded(&encoder(&cache, 1), &visits));
    println!("\n| damaged values | format | decoded | refused | encoded | refused | longest, µs |");
    println!("|---|---|---|---|---|---|---|");
    for id in [1, 3, 5] {
        damage_values(&cache, id, &visits, damaged);
    }
}

/// Visits, and the outputs of the reference job.
fn values() -> (Vec<String>, Vec<String>) {
    let visits: Vec<String> =
        Generator::new(Profile { unparseable: 0.0, ..Profile::default() }).map(|row| row.value).take(VISITS).collect();
    let reduced = visits.iter().map(|visit| {
        let visit: serde_json::Value = serde_json::from_str(visit).expect("JSON");
        serde_json::json!({"visit_id": visit["visit_id"], "event_time": 1_698_796_800, "page": visit["page"]})
            .to_string()
    });
    let reduced = reduced.collect();
    (visits, reduced)
}

fn measure(cache: &Cache, visit: u32, output: u32, visits: &[String], reduced: &[String]) {
    let (_, format, _) = SCHEMAS[visit as usize - 1];
    let (visit_encoder, output_encoder) = (encoder(cache, visit), encoder(cache, output));
    let wire = encoded(&visit_encoder, visits);
    let mut decoder = Decoder::new(cache.clone(), InputFormat::Only(format));
    let mut out = Vec::new();
    let decode = nanoseconds(&mut out, &wire, |value, out| {
        decoder.decode(value, None, out).expect("a visit");
    });
    let json = out.len() / VISITS;
    let encode =
        nanoseconds(&mut out, reduced, |value, out| output_encoder.encode(value.as_bytes(), out).expect("an output"));
    let encode_visit =
        nanoseconds(&mut out, visits, |value, out| visit_encoder.encode(value.as_bytes(), out).expect("a visit"));
    let bytes = wire.iter().map(Vec::len).sum::<usize>() / VISITS;
    println!(
        "| host | {format} | {bytes} | {json} | {decode:.0} | {encode:.0} | {:.0} | {encode_visit:.0} |",
        decode + encode
    );
}

/// The median time for one value.
fn nanoseconds<T>(out: &mut Vec<u8>, values: &[T], mut convert: impl FnMut(&T, &mut Vec<u8>)) -> f64 {
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            out.clear();
            let started = Instant::now();
            values.iter().for_each(|value| convert(value, out));
            black_box(&out);
            started.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2].as_nanos() as f64 / values.len() as f64
}

/// Decodes and encodes damaged values. A panic ends the benchmark.
fn damage_values(cache: &Cache, id: u32, visits: &[String], number: usize) {
    let (_, format, _) = SCHEMAS[id as usize - 1];
    let encoder = encoder(cache, id);
    let wire = encoded(&encoder, visits);
    let mut decoder = Decoder::new(cache.clone(), InputFormat::Only(format));
    let mut rng = SmallRng::seed_from_u64(1);
    let (mut decoded, mut encoded, mut longest) = (0, 0, Duration::ZERO);
    let mut out = Vec::new();
    for index in 0..number {
        let mut value = wire[index % wire.len()].clone();
        damage::damage(&mut value, &mut rng);
        let mut text = visits[index % visits.len()].clone().into_bytes();
        damage::damage(&mut text, &mut rng);
        out.clear();
        let started = Instant::now();
        decoded += usize::from(decoder.decode(&value, None, &mut out).is_ok());
        encoded += usize::from(encoder.encode(&text, &mut out).is_ok());
        longest = longest.max(started.elapsed());
    }
    let (not_decoded, not_encoded) = (number - decoded, number - encoded);
    println!(
        "| {number} | {format} | {decoded} | {not_decoded} | {encoded} | {not_encoded} | {} |",
        longest.as_micros()
    );
}
