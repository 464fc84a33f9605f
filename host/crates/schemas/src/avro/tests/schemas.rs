//! Valid and invalid schemas.

use super::*;

fn reason(text: &str) -> String {
    parse_with(text, Options::default()).unwrap_err().to_string()
}

#[test]
fn names_are_found_in_their_namespace() {
    let text = r#"{"type": "record", "name": "a.b.R", "fields": [
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["x"]}},
        {"name": "again", "type": "E"},
        {"name": "full", "type": "a.b.E"},
        {"name": "inner", "type": {"type": "record", "name": "S", "namespace": "c", "fields": [{"name": "far", "type": "a.b.E"}]}},
        {"name": "plain", "type": {"type": "fixed", "name": "F", "namespace": "", "size": 0}},
        {"name": "near", "type": "c.S"}
    ]}"#;
    assert_eq!(
        decode(&parse(text), &[0; 5]).unwrap(),
        r#"{"e":"x","again":"x","full":"x","inner":{"far":"x"},"plain":"","near":{"far":"x"}}"#
    );
}

#[test]
fn references_declare_types_for_later_schemas() {
    let references = [
        r#"{"type": "enum", "name": "n.E", "symbols": ["x"]}"#,
        r#"{"type": "record", "name": "n.R", "fields": [{"name": "e", "type": "E"}]}"#,
    ];
    let text = r#"{"type": "array", "items": "n.R"}"#;
    let schema = AvroSchema::parse(text, &references, Options::default(), Limits::default()).unwrap();
    assert_eq!(decode(&schema, &[2, 0, 0]).unwrap(), r#"[{"e":"x"}]"#);
    let missing = AvroSchema::parse(text, &references[..1], Options::default(), Limits::default()).unwrap_err();
    assert_eq!(missing.to_string(), "the type n.R is unknown: no reference of the schema declares it");
}

#[test]
fn logical_type_that_does_not_fit_is_ignored() {
    for (text, bytes, json) in [
        (r#"{"type": "string", "logicalType": "uuid"}"#, &[2, b'x'][..], "\"x\""),
        (r#"{"type": "string", "logicalType": "date"}"#, &[2, b'x'], "\"x\""),
        (r#"{"type": "bytes", "logicalType": "decimal"}"#, &[2, 1], "\"AQ==\""),
        (r#"{"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}"#, &[2, 1], "\"AQ==\""),
        (r#"{"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": "1"}"#, &[2, 1], "\"AQ==\""),
        (r#"{"type": "bytes", "logicalType": "big-decimal"}"#, &[2, 1], "\"AQ==\""),
        (r#"{"type": "fixed", "name": "f", "size": 1, "logicalType": "duration"}"#, &[1], "\"AQ==\""),
        (r#"{"type": "int", "logicalType": "timestamp-millis"}"#, &[2], "1"),
    ] {
        assert_eq!(decode(&parse(text), bytes).unwrap(), json, "{text}");
    }
}

#[test]
fn invalid_schema_is_an_error_with_its_reason() {
    assert!(reason("{").starts_with("the schema is not JSON: "));
    assert_eq!(reason("1"), "1 is no type");
    assert_eq!(reason("{}"), "a type has no attribute `type`");
    assert_eq!(reason("\"visit\""), "the type visit is unknown: no reference of the schema declares it");
    assert_eq!(reason(r#"{"type": "record", "fields": []}"#), "a record, enum or fixed has no name");
    assert_eq!(reason(r#"{"type": "record", "name": "r"}"#), "the record r has no list of fields");
    assert_eq!(
        reason(r#"{"type": "record", "name": "r", "fields": [{"type": "int"}]}"#),
        "a field of the record r has no name"
    );
    assert_eq!(
        reason(r#"{"type": "record", "name": "r", "fields": [{"name": "f"}]}"#),
        "the field f of the record r has no type"
    );
    let twice =
        r#"{"type": "record", "name": "r", "fields": [{"name": "f", "type": "int"}, {"name": "f", "type": "int"}]}"#;
    assert_eq!(reason(twice), "the record r has two fields with the name f");
    assert_eq!(reason(r#"{"type": "enum", "name": "e"}"#), "the enum e has no symbols");
    assert_eq!(reason(r#"{"type": "enum", "name": "e", "symbols": ["a", "a"]}"#), "the enum e has a symbol twice");
    assert_eq!(reason(r#"{"type": "fixed", "name": "f", "size": -1}"#), "the fixed f has no valid size");
    assert_eq!(reason(r#"{"type": "fixed", "name": "f", "size": 1099511627776}"#), "the fixed f has no valid size");
    assert_eq!(reason(r#"{"type": "array"}"#), "the type array has no `items`");
    assert_eq!(reason(r#"["int", ["null"]]"#), "a union has a union as a branch");
    assert_eq!(
        reason(r#"["int", {"type": "int", "logicalType": "date"}]"#),
        "a union has two branches of the type int"
    );
    let declared = r#"{"type": "array", "items": {"type": "fixed", "name": "f", "size": 1}}"#;
    assert_eq!(
        reason(&format!("[{declared}, {}]", declared.replace("array", "map").replace("items", "values"))),
        "the type f is declared twice"
    );
    let limits = Limits { schema_bytes: 10, ..Limits::default() };
    let size = AvroSchema::parse("\"string\"", &["\"int\""], Options::default(), limits).unwrap_err().to_string();
    assert_eq!(size, "the schema has 13 bytes, more than 10");
}
