//! The mapper with a registry in memory.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use mapper_core::record::{Batch, HeaderTable, KEEP};
use mapper_core::verdict::{Columns, Failure, FailureKind, OutputHeaders, OutputTopics, Verdict, Verdicts};
use mapper_pipeline::{Mapper, Unavailable};
use mapper_schemas::{
    Encoder, Format, Identifier, InputFormat, LookupError, SchemaId, SchemaSettings, SchemaSource, SchemaText,
    SubjectVersion, VALUE_HEADER,
};

use crate::{Codec, CodecMapper, Encoders, Schemas, TopicEncoders};

const LONG: &str = r#"{"type": "record", "name": "n", "fields": [{"name": "n", "type": "long"}]}"#;

/// A registry with the schema 7, which can be away.
#[derive(Default)]
struct Memory {
    is_away: Mutex<bool>,
    requests: Mutex<u32>,
}

impl SchemaSource for Memory {
    fn by_id(&self, id: u32) -> Result<SchemaText, LookupError> {
        *self.requests.lock().unwrap() += 1;
        match id {
            _ if *self.is_away.lock().unwrap() => Err(LookupError::Unavailable("HTTP 503".into())),
            7 => Ok(SchemaText { format: Format::Avro, text: LONG.to_owned(), references: vec![] }),
            _ => Err(LookupError::NotFound("no such schema".into())),
        }
    }

    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, LookupError> {
        self.by_id(guid[15].into())
    }

    fn latest(&self, _: &str) -> Result<SubjectVersion, LookupError> {
        unreachable!("no subject is needed")
    }

    fn version(&self, _: &str, _: u32) -> Result<SubjectVersion, LookupError> {
        unreachable!("no subject is needed")
    }

    fn register(&self, _: &str, _: &SchemaText) -> Result<u32, LookupError> {
        unreachable!("nothing is registered")
    }
}

/// Returns the value of each record, after what the value says: `{"n":13}` traps, and `{"n":14}` keeps its input.
#[derive(Default)]
struct Echo {
    calls: Vec<Vec<Option<String>>>,
    /// Outputs of the same value.
    topics: Vec<&'static str>,
    own_headers: bool,
}

impl Mapper for Echo {
    fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        self.calls.push(batch.records_in(records.clone()).map(|record| record.value().map(text)).collect());
        for record in batch.records_in(records) {
            if record.value() == Some(b"{\"n\":13}") {
                return verdicts.push_failure(Failure::new(FailureKind::Trap, "unlucky"));
            }
            let is_kept = record.value() == Some(b"{\"n\":14}");
            let mut columns = Columns { statuses: vec![0], ..Columns::default() };
            for _ in 0..self.topics.len().max(1) {
                if is_kept {
                    columns.values.push_marked(KEEP, b"");
                } else {
                    columns.values.push(record.value());
                }
            }
            if !self.topics.is_empty() {
                let names = self.topics.iter().map(|topic| (*topic).to_owned()).collect();
                columns.topics = Some(OutputTopics { names, indexes: (1..=self.topics.len() as u32).collect() });
            }
            if self.own_headers {
                let mut table = HeaderTable::default();
                table.push((b"own", None));
                table.end_record();
                columns.headers = Some(OutputHeaders { marks: vec![0], table });
            }
            columns.output_ends = vec![columns.values.len() as u32];
            verdicts.push_columns(columns);
        }
    }
}

struct Stage {
    registry: Arc<Memory>,
    codec: Codec,
}

fn encoder(codec: &Codec) -> Option<Arc<Encoder>> {
    let schema = codec.schemas.get(SchemaId::Id(7)).unwrap().unwrap();
    Some(Arc::new(Encoder::new(schema, "out-value", None, Identifier::Prefix).unwrap()))
}

/// A codec with this input format, which encodes the values of the default topic if `encodes`.
fn stage(input_value: Option<InputFormat>, encodes: bool) -> Stage {
    let registry = Arc::new(Memory::default());
    let source: Arc<dyn SchemaSource> = registry.clone();
    let schemas = Arc::new(Schemas::new(source, SchemaSettings::default()));
    let mut codec = Codec { schemas, input_key: None, input_value, outputs: Arc::default() };
    if encodes {
        let value = TopicEncoders { key: None, value: encoder(&codec) };
        let topics = vec![("out".into(), value), ("other".into(), TopicEncoders::default())];
        codec.outputs = Arc::new(Encoders::new(topics));
    }
    Stage { registry, codec }
}

const AVRO: Option<InputFormat> = Some(InputFormat::Only(Format::Avro));

/// The number as Avro, with the schema of this id.
fn framed(id: u32, number: u8) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), &[number * 2]].concat()
}

fn batch(values: &[Option<&[u8]>]) -> Batch {
    let mut batch = Batch::new("in");
    for (offset, value) in values.iter().enumerate() {
        batch.push((0, offset as i64), 5, Some(b"key"), *value, std::iter::empty());
    }
    batch
}

/// What became of the records: the values of the outputs, or the kind of the failure.
fn outcome(batch: &Batch, verdicts: &Verdicts) -> Vec<String> {
    let shown =
        |value: Option<&[u8]>| value.map_or_else(|| "null".to_owned(), |value| value.escape_ascii().to_string());
    let verdict = |(record, verdict)| match verdict {
        Verdict::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
        Verdict::Mapped(outputs) => outputs.map(|output| shown(output.value(record))).collect::<Vec<_>>().join(" "),
    };
    batch.records().zip(verdicts.iter()).map(verdict).collect()
}

fn map(mapper: &mut CodecMapper<Echo>, batch: &Batch) -> Vec<String> {
    let mut verdicts = Verdicts::default();
    mapper.prepare(batch, 0..batch.len()).unwrap();
    mapper.map(batch, &mut verdicts);
    outcome(batch, &verdicts)
}

#[test]
fn values_are_decoded_and_outputs_encoded() {
    let Stage { registry, codec } = stage(AVRO, true);
    let mut mapper = CodecMapper::new(Echo::default(), Some(&codec));
    let values = [framed(7, 1), framed(7, 14), framed(7, 3)];
    let batch = batch(&[Some(&values[0]), None, Some(&values[1]), Some(&values[2])]);
    let encoded = |number: u8| framed(7, number).escape_ascii().to_string();
    assert_eq!(map(&mut mapper, &batch), [encoded(1), "null".to_owned(), encoded(14), encoded(3)]);
    let decoded = ["{\"n\":1}", "{\"n\":14}", "{\"n\":3}"].map(|value| Some(value.to_owned()));
    assert_eq!(mapper.inner().calls, [vec![decoded[0].clone(), None, decoded[1].clone(), decoded[2].clone()]]);
    assert_eq!(*registry.requests.lock().unwrap(), 1);
}

#[test]
fn record_that_does_not_fit_fails_alone_and_the_mapper_does_not_get_it() {
    let Stage { codec, .. } = stage(AVRO, true);
    let mut mapper = CodecMapper::new(Echo::default(), Some(&codec));
    let values = [framed(7, 1), framed(8, 1), b"{}".to_vec(), framed(7, 2)[..5].to_vec(), framed(7, 13), framed(7, 4)];
    let batch = batch(&values.each_ref().map(|value| Some(&value[..])));
    let outcome = map(&mut mapper, &batch);
    assert_eq!(
        [&outcome[0], &outcome[5]],
        [&framed(7, 1), &framed(7, 4)].map(|value| value.escape_ascii().to_string()).each_ref()
    );
    let undecodable = "undecodable: the value can't be decoded: ";
    assert!(outcome[1].starts_with(&format!("{undecodable}schema 8: ")), "{}", outcome[1]);
    assert!(outcome[2].starts_with(&format!("{undecodable}it starts with the byte 0x7b")), "{}", outcome[2]);
    assert!(outcome[3].starts_with(&format!("{undecodable}AVRO schema 7: n: ")), "{}", outcome[3]);
    assert_eq!(outcome[4], "trap: unlucky");
    let called: usize = mapper.inner().calls.iter().map(Vec::len).sum();
    assert_eq!(called, 4, "the record before the trap, the trap with the one after it, and that one again");
}

#[test]
fn output_that_does_not_fit_fails_its_record_alone() {
    let Stage { codec, .. } = stage(None, true);
    let mut mapper = CodecMapper::new(Echo::default(), Some(&codec));
    let batch = batch(&[Some(b"{\"n\":1}"), Some(b"{\"n\":\"x\"}"), Some(b"{\"n\":2}"), Some(b"{\"m\":2}")]);
    let outcome = map(&mut mapper, &batch);
    let encoded = |number: u8| framed(7, number).escape_ascii().to_string();
    assert_eq!([&outcome[0], &outcome[2]], [&encoded(1), &encoded(2)]);
    for (index, part) in [(1, "of the subject out-value: n: "), (3, "of the subject out-value: ")] {
        assert!(
            outcome[index].starts_with("unencodable: the value of an output can't be encoded: "),
            "{}",
            outcome[index]
        );
        assert!(outcome[index].contains(part), "{}", outcome[index]);
    }
}

#[test]
fn each_topic_has_its_own_encoder_or_none() {
    let Stage { codec, .. } = stage(None, true);
    let echo = Echo { topics: vec!["other", "out", "unknown"], ..Echo::default() };
    let mut mapper = CodecMapper::new(echo, Some(&codec));
    let value = "{\\\"n\\\":1}";
    let expected = format!("{value} {} {value}", framed(7, 1).escape_ascii());
    assert_eq!(map(&mut mapper, &batch(&[Some(b"{\"n\":1}")])), [expected]);
}

#[test]
fn registry_that_is_away_is_an_outage_and_no_failure() {
    let Stage { registry, codec } = stage(AVRO, false);
    let mut mapper = CodecMapper::new(Echo::default(), Some(&codec));
    *registry.is_away.lock().unwrap() = true;
    let value = framed(7, 1);
    let batch = batch(&[Some(&value), Some(&value)]);
    let unavailable = Unavailable { reason: "HTTP 503".to_owned() };
    assert_eq!(mapper.prepare(&batch, 0..2), Err(unavailable));
    *registry.is_away.lock().unwrap() = false;
    let json = "{\\\"n\\\":1}";
    assert_eq!(map(&mut mapper, &batch), [json, json]);
    // Its schemas stay known.
    *registry.is_away.lock().unwrap() = true;
    assert_eq!(map(&mut mapper, &batch), [json, json]);
}

#[test]
fn auto_decodes_what_has_a_known_schema_and_passes_the_rest() {
    let Stage { codec, .. } = stage(Some(InputFormat::Auto), false);
    let mut mapper = CodecMapper::new(Echo::default(), Some(&codec));
    let (known, unknown) = (framed(7, 1), framed(8, 1));
    let batch = batch(&[Some(&known), Some(&unknown), Some(b"text")]);
    assert_eq!(
        map(&mut mapper, &batch),
        ["{\\\"n\\\":1}".to_owned(), unknown.escape_ascii().to_string(), "text".to_owned()]
    );
}

#[test]
fn header_with_the_schema_of_the_input_stays_only_with_the_value_of_the_input() {
    let Stage { codec, .. } = stage(AVRO, true);
    let mut guid = [1_u8; 17];
    guid[16] = 7;
    let mut batch = Batch::new("in");
    for (offset, number) in [(0, 1_u8), (1, 14)] {
        let headers = [(&b"a"[..], None), (VALUE_HEADER.as_bytes(), Some(&guid[..]))];
        batch.push((0, offset), 5, None, Some(&[number * 2]), headers.into_iter());
    }
    for (own_headers, expected) in [(false, ["a", "a __value_schema_id"]), (true, ["own", "own"])] {
        let mut mapper = CodecMapper::new(Echo { own_headers, ..Echo::default() }, Some(&codec));
        let mut verdicts = Verdicts::default();
        mapper.prepare(&batch, 0..2).unwrap();
        mapper.map(&batch, &mut verdicts);
        let names = |(record, verdict): (mapper_core::record::Record<'_>, Verdict<'_>)| {
            let Verdict::Mapped(mut outputs) = verdict else { panic!("{verdict:?}") };
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            let own = outputs.next().unwrap().own_headers();
            let names: Vec<String> = match own {
                Some(own) => own.map(|(name, _)| text(name)).collect(),
                None => record.headers().map(|(name, _)| text(name)).collect(),
            };
            names.join(" ")
        };
        let found: Vec<String> = batch.records().zip(verdicts.iter()).map(names).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn records_after_much_json_wait_for_the_next_call() {
    const TEXT: &str = r#"{"type": "array", "items": "null"}"#;
    struct Nulls;
    impl SchemaSource for Nulls {
        fn by_id(&self, _: u32) -> Result<SchemaText, LookupError> {
            Ok(SchemaText { format: Format::Avro, text: TEXT.to_owned(), references: vec![] })
        }
        fn by_guid(&self, _: [u8; 16]) -> Result<SchemaText, LookupError> {
            unreachable!()
        }
        fn latest(&self, _: &str) -> Result<SubjectVersion, LookupError> {
            unreachable!()
        }
        fn version(&self, _: &str, _: u32) -> Result<SubjectVersion, LookupError> {
            unreachable!()
        }
        fn register(&self, _: &str, _: &SchemaText) -> Result<u32, LookupError> {
            unreachable!()
        }
    }
    let source: Arc<dyn SchemaSource> = Arc::new(Nulls);
    let schemas = Arc::new(Schemas::new(source, SchemaSettings::default()));
    let codec = Codec { schemas, input_key: None, input_value: AVRO, outputs: Arc::default() };
    let mut mapper = CodecMapper::new(Echo::default(), Some(&codec));
    // A block of a million nulls takes 4 bytes and stands for 5 MB of JSON.
    let value = [&[0, 0, 0, 0, 1][..], &[0x80, 0x89, 0x7a], &[0]].concat();
    let batch = batch(&[Some(&value[..]); 5]);
    let outcome = map(&mut mapper, &batch);
    assert!(outcome.iter().all(|json| json.starts_with("[null,null") && json.len() > 4 << 20));
    let sizes: Vec<usize> = mapper.inner().calls.iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 2, 1]);
}

#[test]
fn mapper_without_a_codec_gets_the_batch_itself() {
    let mut mapper = CodecMapper::new(Echo::default(), None);
    assert_eq!(map(&mut mapper, &batch(&[Some(b"\x00raw"), None])), ["\\x00raw", "null"]);
}
