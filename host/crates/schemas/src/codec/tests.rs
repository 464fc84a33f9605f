//! Values of a registry with schemas of all formats.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::cache::SchemaCache;
use crate::registry::{SchemaSource, SchemaText, SubjectVersion};
use crate::schema::SchemaSettings;

const GUID: [u8; 16] = [7; 16];
const VISIT: &str = r#"{"type": "record", "name": "visit", "fields": [{"name": "id", "type": "int"}, {"name": "page", "type": ["null", "string"], "default": null}]}"#;
const PROTO: &str = "syntax = \"proto3\"; message Visit { int32 id = 1; message Item { string name = 1; } } message Other { int64 id = 1; }";

/// The ids 1 to 4 are of Avro, Protobuf, JSON Schema and of no valid schema.
#[derive(Default)]
struct Registry {
    requests: AtomicUsize,
    is_down: std::sync::atomic::AtomicBool,
}

impl SchemaSource for Registry {
    fn by_id(&self, id: u32) -> Result<SchemaText, LookupError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) {
            return Err(LookupError::Unavailable("503".into()));
        }
        let (format, text) = match id {
            1 => (Format::Avro, VISIT),
            2 => (Format::Protobuf, PROTO),
            3 => (Format::JsonSchema, r#"{"properties": {"id": {"type": "integer"}}}"#),
            4 => (Format::Avro, "\"visit\""),
            _ => return Err(LookupError::NotFound("not found".into())),
        };
        Ok(SchemaText { format, text: text.to_owned(), references: Vec::new() })
    }

    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, LookupError> {
        self.by_id(if guid == GUID { 1 } else { 2 })
    }

    fn latest(&self, _: &str) -> Result<SubjectVersion, LookupError> {
        Err(LookupError::NotFound("not found".into()))
    }

    fn version(&self, subject: &str, _: u32) -> Result<SubjectVersion, LookupError> {
        self.latest(subject)
    }

    fn register(&self, _: &str, _: &SchemaText) -> Result<u32, LookupError> {
        Err(LookupError::NotFound("not found".into()))
    }
}

struct Topic {
    cache: Arc<SchemaCache<Registry>>,
    decoder: Decoder<Registry>,
}

impl Topic {
    fn new(format: InputFormat) -> Self {
        let cache = Arc::new(SchemaCache::new(Registry::default(), SchemaSettings::default()));
        Self { decoder: Decoder::new(cache.clone(), format), cache }
    }

    fn decode_beside(&mut self, value: &[u8], header: Option<&[u8]>) -> Result<(Decoded, String), DecodeError> {
        let mut out = b"before".to_vec();
        let result = self.decoder.decode(value, header, &mut out);
        let written = String::from_utf8(out).unwrap().split_off("before".len());
        assert!(result.is_ok() || written.is_empty(), "an error leaves nothing behind");
        result.map(|decoded| (decoded, written))
    }

    fn decode(&mut self, value: &[u8]) -> Result<String, DecodeError> {
        self.decode_beside(value, None).map(|(_, written)| written)
    }

    fn reason(&mut self, value: &[u8]) -> String {
        self.decode(value).unwrap_err().to_string()
    }

    fn requests(&self) -> usize {
        self.cache.source().requests.load(Ordering::Relaxed)
    }

    fn encoder(
        &self,
        id: u32,
        message: Option<&str>,
        identifier: Identifier,
    ) -> Result<Encoder, crate::error::SchemaError> {
        let schema = self.cache.get(SchemaId::Id(id)).unwrap().unwrap();
        Encoder::new(schema, "visits-value", message, identifier)
    }
}

#[test]
fn values_of_each_format_are_decoded_and_encoded() {
    for (id, format, json, wire) in [
        (1, Format::Avro, r#"{"id":1,"page":null}"#, &b"\0\0\0\0\x01\x02\0"[..]),
        (2, Format::Protobuf, r#"{"id":1}"#, b"\0\0\0\0\x02\0\x08\x01"),
        (3, Format::JsonSchema, r#"{"id":1}"#, b"\0\0\0\0\x03{\"id\":1}"),
    ] {
        let mut topic = Topic::new(InputFormat::Only(format));
        assert_eq!(topic.decode_beside(wire, None).unwrap(), (Decoded::Json(SchemaId::Id(id)), json.to_owned()));
        let encoder = topic.encoder(id, None, Identifier::Prefix).unwrap();
        let mut out = b"before".to_vec();
        encoder.encode(json.as_bytes(), &mut out).unwrap();
        assert_eq!((&out[6..], encoder.header()), (wire, None));
    }
}

#[test]
fn message_types_of_one_file_are_distinguished() {
    let mut topic = Topic::new(InputFormat::Only(Format::Protobuf));
    for _ in 0..2 {
        assert_eq!(topic.decode(b"\0\0\0\0\x02\0\x08\x01").unwrap(), r#"{"id":1}"#);
        assert_eq!(topic.decode(b"\0\0\0\0\x02\x02\x02\x08\x01").unwrap(), r#"{"id":"1"}"#);
        assert_eq!(topic.decode(b"\0\0\0\0\x02\x04\0\0\x0a\x01a").unwrap(), r#"{"name":"a"}"#);
    }
    assert_eq!(topic.requests(), 1);
    let missing = topic.reason(b"\0\0\0\0\x02\x02\x04\x08\x01");
    assert_eq!(missing, "PROTOBUF schema 2: the schema has no message type at the indexes [2]");
    assert_eq!(topic.decode(b"\0\0\0\0\x02\0\x08\x01").unwrap(), r#"{"id":1}"#);
    let mut out = Vec::new();
    topic.encoder(2, Some("Visit.Item"), Identifier::Prefix).unwrap().encode(b"{}", &mut out).unwrap();
    assert_eq!(out, b"\0\0\0\0\x02\x04\0\0");
}

#[test]
fn header_names_the_schema_of_a_value() {
    let mut topic = Topic::new(InputFormat::Auto);
    let encoder = topic.encoder(1, None, Identifier::Header(GUID)).unwrap();
    let header = encoder.header().unwrap();
    assert_eq!(header, [&[1][..], &GUID].concat());
    let mut out = Vec::new();
    encoder.encode(br#"{"id":0,"page":null}"#, &mut out).unwrap();
    assert_eq!(out, [0, 0]);
    let (decoded, json) = topic.decode_beside(&out, Some(header)).unwrap();
    assert_eq!((decoded, json.as_str()), (Decoded::Json(SchemaId::Guid(GUID)), r#"{"id":0,"page":null}"#));
    // A Protobuf message has its indexes in the header.
    let encoder = topic.encoder(2, Some("Other"), Identifier::Header([8; 16])).unwrap();
    let header = encoder.header().unwrap().to_vec();
    assert_eq!(header[17..], [2, 2]);
    assert_eq!(topic.decode_beside(b"\x08\x01", Some(&header)).unwrap().1, r#"{"id":"1"}"#);
    assert!(topic.decode_beside(b"", Some(b"x")).is_err());
}

#[test]
fn run_of_equal_ids_costs_one_look_up() {
    let mut topic = Topic::new(InputFormat::Only(Format::Avro));
    for _ in 0..100 {
        topic.decode(b"\0\0\0\0\x01\x02\0").unwrap();
    }
    assert_eq!(topic.requests(), 1);
}

#[test]
fn value_that_does_not_fit_is_undecodable_with_schema_and_path() {
    let mut topic = Topic::new(InputFormat::Only(Format::Avro));
    let Err(DecodeError::Undecodable(error)) = topic.decode(b"\0\0\0\0\x01\x02\x02\x08ab") else { panic!() };
    assert_eq!(
        (error.schema, error.format, error.error.path().as_str()),
        (Some(SchemaId::Id(1)), Some(Format::Avro), "page")
    );
    assert_eq!(error.to_string(), "AVRO schema 1: page: the value ends early: 2 of 4 bytes");
    assert_eq!(topic.reason(b"{}"), "it starts with the byte 0x7b, not with a schema id (0x00 or 0x01)");
    assert_eq!(topic.reason(b"\0\0\0\0\x02\0"), "PROTOBUF schema 2: expected the format AVRO");
    assert_eq!(topic.reason(b"\0\0\0\0\x09\0"), "schema 9: the schema registry does not have the schema 9: not found");
    assert!(topic.reason(b"\0\0\0\0\x04\0").starts_with("schema 4: the schema 4 can't be used: "));
}

#[test]
fn registry_that_does_not_answer_makes_no_value_undecodable() {
    for format in [InputFormat::Only(Format::Avro), InputFormat::Auto] {
        let mut topic = Topic::new(format);
        topic.cache.source().is_down.store(true, Ordering::Relaxed);
        let value = b"\0\0\0\0\x01\x02\0";
        assert!(matches!(topic.decode(value), Err(DecodeError::NoAnswer(LookupError::Unavailable(_)))));
        topic.cache.source().is_down.store(false, Ordering::Relaxed);
        assert!(topic.decode(value).is_ok());
        // A known schema is used while the registry is down.
        topic.cache.source().is_down.store(true, Ordering::Relaxed);
        assert!(topic.decode(value).is_ok());
    }
}

#[test]
fn auto_passes_values_without_a_known_id() {
    let mut topic = Topic::new(InputFormat::Auto);
    for raw in [&b"{\"id\":1}"[..], b"", b"\0", b"\0\0\0\0\x09x"] {
        assert_eq!(topic.decode_beside(raw, None).unwrap(), (Decoded::Raw, String::from_utf8(raw.to_vec()).unwrap()));
    }
    for (wire, json) in
        [(&b"\0\0\0\0\x01\x02\0"[..], r#"{"id":1,"page":null}"#), (b"\0\0\0\0\x02\0\x08\x01", r#"{"id":1}"#)]
    {
        assert_eq!(topic.decode(wire).unwrap(), json);
    }
    // The schema of the id is known, so a damaged value is an error.
    assert!(topic.decode(b"\0\0\0\0\x01").is_err());
}

#[test]
fn output_that_does_not_fit_is_an_error_with_schema_subject_and_path() {
    let topic = Topic::new(InputFormat::Auto);
    let encoder = topic.encoder(1, None, Identifier::Prefix).unwrap();
    let mut out = b"before".to_vec();
    let error = encoder.encode(br#"{"id":"x"}"#, &mut out).unwrap_err();
    assert_eq!(out, b"before");
    assert_eq!(error.to_string(), "AVRO schema 1 of the subject visits-value: id: expected a number, found a string");
    assert_eq!(
        (error.schema, error.subject.as_deref(), error.error.path()),
        (Some(SchemaId::Id(1)), Some("visits-value"), "id".to_owned())
    );
}

#[test]
fn message_type_that_is_missing_is_an_error() {
    let topic = Topic::new(InputFormat::Auto);
    let reason = |id, message| topic.encoder(id, message, Identifier::Prefix).unwrap_err().to_string();
    assert_eq!(reason(2, Some("Page")), "the schema has no message type Page");
    assert_eq!(reason(1, Some("Page")), "a schema of the format AVRO has no message type Page");
}
