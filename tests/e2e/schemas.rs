//! Topics with a real schema registry.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harness::host::Job;
use harness::kafka::Kafka;
use harness::letters;
use harness::reference;
use harness::registry::{Proxy, Registry};
use harness::topics::{self, NewRecord};
use serde_json::Value;
use tempfile::TempDir;

use crate::{HOST, reduce_visit};

const VISIT: &str = r#"{"type": "record", "name": "Visit", "namespace": "shop", "fields": [
    {"name": "visit_id", "type": ["null", "string"]},
    {"name": "event_time", "type": ["null", "string"]},
    {"name": "page", "type": ["null", "string"]}
]}"#;
const REDUCED: &str = r#"{"type": "record", "name": "Reduced", "namespace": "shop", "fields": [
    {"name": "visit_id", "type": ["null", "string"]},
    {"name": "event_time", "type": "long"},
    {"name": "page", "type": ["null", "string"]}
]}"#;

/// A value before which the id of its schema is written.
fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

fn optional(value: &Value) -> Avro {
    match value.as_str() {
        Some(text) => Avro::Union(1, Box::new(Avro::String(text.to_owned()))),
        None => Avro::Union(0, Box::new(Avro::Null)),
    }
}

/// The visits of the reference data that fit the schema, each with the reduced one, or `None` for a dead letter.
fn visits() -> Vec<(Value, Option<Value>)> {
    let fits = |visit: &Value| {
        ["visit_id", "event_time", "page"]
            .iter()
            .all(|field| visit.get(field).is_some_and(|at| at.is_null() || at.is_string()))
    };
    let cases = reference::cases().into_iter().filter_map(|case| {
        let visit: Value = serde_json::from_str(&case.value).ok()?;
        let reduced = case.reduced.map(|reduced| serde_json::from_str(&reduced).expect("JSON"));
        fits(&visit).then_some((visit, reduced))
    });
    cases.collect()
}

fn avro(schema: &Schema, visit: &Value) -> Vec<u8> {
    let fields = ["visit_id", "event_time", "page"].map(|field| (field.to_owned(), optional(&visit[field])));
    let writer = GenericDatumWriter::builder(schema).build().expect("a writer");
    let mut datum = Vec::new();
    writer.write_value(&mut datum, Avro::Record(fields.to_vec())).expect("it fits");
    datum
}

/// The value of the record that failed.
fn input(letter: &topics::Record) -> Vec<u8> {
    let envelope = letters::envelope(letter);
    let text = envelope["input_json"].as_str().expect("a value");
    if envelope["input_encoding"] == "base64" {
        BASE64_STANDARD.decode(text).expect("base64")
    } else {
        text.as_bytes().to_vec()
    }
}

/// A subject of this test alone.
fn subject(job: &Job<'_>) -> String {
    format!("{}-value", job.output)
}

#[test]
fn avro_visits_have_the_verdicts_of_the_reference_job_and_outputs_fit_the_registered_schema() {
    let registry = Registry::shared();
    let job = Job::new(Kafka::shared(), "schemas-avro", HOST, &reduce_visit());
    let (subject, dir) = (subject(&job), TempDir::new().expect("a folder"));
    let file = dir.path().join("reduced.avsc");
    std::fs::write(&file, REDUCED).expect("a file");
    let id = registry.register(&format!("{}-value", job.input), "AVRO", VISIT);
    let (visit, reduced) = (Schema::parse_str(VISIT).expect("a schema"), Schema::parse_str(REDUCED).expect("a schema"));
    let visits = visits();
    assert!(visits.len() > 1000 && visits.iter().any(|(_, reduced)| reduced.is_none()));
    let mut values: Vec<Vec<u8>> = visits.iter().map(|(value, _)| framed(id, &avro(&visit, value))).collect();
    // A value that ends early, an id that the registry does not have, and a value without an id.
    let damaged = [framed(id, &[2, 0x80]), framed(999_999, &[0, 0, 0]), b"{\"visit_id\": 1}".to_vec()];
    values.extend(damaged.clone());
    topics::produce(job.kafka, &job.input, values.iter().map(|value| NewRecord::value(value.clone()).key("k")));

    let ended = job.run_to_end(&[
        "--workers",
        "1",
        "--schema-registry",
        &registry.url(),
        "--input-value",
        "avro",
        "--output-value",
        &format!("avro:{subject}"),
        "--register-schema",
        &format!("{subject}={}", file.display()),
    ]);
    let expected: Vec<&Value> = visits.iter().filter_map(|(_, reduced)| reduced.as_ref()).collect();
    let failed = visits.len() - expected.len();
    let summary = format!(
        "{} outputs, {} dead letters ({failed} rejected, 3 undecodable), 0 skipped",
        expected.len(),
        failed + 3
    );
    assert!(ended.output.contains(&summary), "{summary}: {}", ended.output);

    let prefix = framed(registry.latest(&subject), &[]);
    let reader = GenericDatumReader::builder(&reduced).build().expect("a reader");
    let outputs = topics::read_all(job.kafka, &job.output);
    assert_eq!(outputs.len(), expected.len());
    for (output, expected) in outputs.iter().zip(expected) {
        let value = output.value.as_ref().expect("a value");
        let mut datum = value.strip_prefix(&prefix[..]).expect("the id of the schema");
        let decoded = reader.read_value(&mut datum).expect("it fits");
        assert_eq!(Value::try_from(decoded).expect("JSON"), *expected);
    }
    let found = topics::read_all(job.kafka, &job.dead_letters);
    let undecodable: Vec<_> = found.iter().filter(|letter| letters::kind(letter) == "undecodable").collect();
    assert_eq!(undecodable.len(), 3);
    for (letter, value) in undecodable.iter().zip(&damaged) {
        assert_eq!(input(letter), *value, "the original bytes");
    }
}

#[test]
fn registry_that_is_away_makes_the_host_wait_without_a_dead_letter() {
    let registry = Registry::shared();
    let proxy = Proxy::start(registry);
    let job = Job::new(Kafka::shared(), "schemas-outage", HOST, &reduce_visit());
    let id = registry.register(&format!("{}-value", job.input), "AVRO", VISIT);
    let visit = Schema::parse_str(VISIT).expect("a schema");
    let reducible: Vec<Value> =
        visits().into_iter().filter_map(|(visit, reduced)| reduced.map(|_| visit)).take(50).collect();
    topics::produce(
        job.kafka,
        &job.input,
        reducible.iter().map(|value| NewRecord::value(framed(id, &avro(&visit, value)))),
    );
    proxy.set_down(true);
    let url = proxy.url();
    let mut host = job.start(&["--admin", "127.0.0.1:0", "--schema-registry", &url, "--input-value", "avro"]);
    let address = crate::admin::address(&mut host);
    crate::admin::until("not ready", || {
        let answer = crate::admin::get(&address, "/readyz");
        (answer.1.contains("schema-registry"), answer)
    });
    assert_eq!(topics::read_all(job.kafka, &job.output).len(), 0);
    proxy.set_down(false);
    crate::admin::wait_until_ready(&address);
    crate::admin::wait_until_committed(&address, 50);
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains("50 outputs, 0 dead letters"), "{}", ended.output);
    assert!(ended.output.contains("the schema registry answers again"), "{}", ended.output);
}

#[test]
fn output_schema_that_is_missing_or_of_another_format_stops_the_start_with_its_name() {
    let registry = Registry::shared();
    let job = Job::new(Kafka::shared(), "schemas-start", HOST, &reduce_visit());
    let subject = subject(&job);
    let run = |output: &str| job.start(&["--schema-registry", &registry.url(), "--output-value", output]).wait();
    let ended = run(&format!("avro:{subject}"));
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    let fix = format!("--register-schema {subject}=FILE");
    assert!(ended.output.contains(&subject) && ended.output.contains(&fix), "{}", ended.output);
    registry.register(&subject, "AVRO", REDUCED);
    let ended = run(&format!("protobuf:{subject}"));
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(ended.output.contains("has the format AVRO, not PROTOBUF"), "{}", ended.output);
}
