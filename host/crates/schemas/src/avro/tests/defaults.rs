//! Fields that a JSON object does not have.

use super::*;

/// The default of a field with this type, in the binary encoding.
fn default(kind: &str, default: &str) -> Result<Vec<u8>, Failure> {
    let text = format!(
        r#"{{"type": "record", "name": "r", "fields": [{{"name": "f", "type": {kind}, "default": {default}}}]}}"#
    );
    encode(&parse(&text), "{}")
}

#[test]
fn missing_field_has_the_default_of_the_schema() {
    for (kind, json, bytes) in [
        ("\"null\"", "null", &[][..]),
        ("\"boolean\"", "true", &[1]),
        ("\"int\"", "-1", &[1]),
        ("\"long\"", "1", &[2]),
        ("\"float\"", "0.1", &0.1_f32.to_le_bytes()),
        ("\"double\"", "\"NaN\"", &f64::NAN.to_le_bytes()),
        ("\"string\"", "\"é\"", &[4, 0xc3, 0xa9]),
        ("\"bytes\"", "\"\\u00ff\"", &[2, 0xff]),
        (r#"{"type": "fixed", "name": "x", "size": 2}"#, "\"\\u0000\\u0001\"", &[0, 1]),
        (r#"{"type": "enum", "name": "e", "symbols": ["a", "b"]}"#, "\"b\"", &[2]),
        (r#"{"type": "array", "items": "int"}"#, "[1]", &[2, 2, 0]),
        (r#"{"type": "map", "values": "int"}"#, "{\"k\": 1}", &[2, 2, b'k', 2, 0]),
        (r#"["null", "int"]"#, "null", &[0]),
        (r#"["null", "int"]"#, "1", &[2, 2]),
        (r#"["null", "string", "bytes"]"#, "\"x\"", &[2, 2, b'x']),
        (r#"{"type": "int", "logicalType": "date"}"#, "1", &[2]),
        (r#"{"type": "long", "logicalType": "timestamp-micros"}"#, "1", &[2]),
        (r#"{"type": "bytes", "logicalType": "decimal", "precision": 4}"#, "\"\\u0001\"", &[2, 1]),
    ] {
        assert_eq!(default(kind, json).unwrap(), bytes, "{kind} {json}");
    }
}

#[test]
fn default_of_a_record_has_the_defaults_of_its_fields() {
    let inner = r#"{"type": "record", "name": "i", "fields": [{"name": "a", "type": "int", "default": 1}, {"name": "b", "type": "int"}]}"#;
    assert_eq!(default(inner, r#"{"b": 2}"#).unwrap(), [2, 4]);
    assert_eq!(
        default(inner, "{}").unwrap_err().to_string(),
        "f: the field is missing, and its default is invalid: b: the field is missing and has no default"
    );
    // A record that contains itself: the default of the list has a record without the field behind it.
    let text = r#"{"type": "record", "name": "r", "fields": [{"name": "list", "type": {"type": "array", "items": "r"}, "default": [{"list": []}]}, {"name": "last", "type": "int", "default": 3}]}"#;
    assert_eq!(encode(&parse(text), "{}").unwrap(), [2, 0, 6, 0, 6]);
}

#[test]
fn invalid_default_matters_only_when_it_is_used() {
    let text =
        r#"{"type": "record", "name": "r", "fields": [{"name": "f", "type": ["null", "int"], "default": "null"}]}"#;
    assert_eq!(decode(&parse(text), &[2, 2]).unwrap(), r#"{"f":1}"#);
    assert_eq!(encode(&parse(text), r#"{"f":1}"#).unwrap(), [2, 2]);
    assert_eq!(
        refused(&parse(text), "{}"),
        "f: the field is missing, and its default is invalid: expected one of null, int, found \"\\\"null\\\"\""
    );
}

#[test]
fn default_that_contains_itself_is_invalid() {
    let text = r#"{"type": "record", "name": "r", "fields": [{"name": "r", "type": "r", "default": {}}]}"#;
    assert!(refused(&parse(text), "{}").starts_with("r: the field is missing, and its default is invalid: "));
}

#[test]
fn defaults_with_many_attempts_end_at_a_limit() {
    // Each level has two branches that fit until the innermost value.
    let a = r#"{"type": "record", "name": "a", "fields": [{"name": "u", "type": ["null", "a", {"type": "record", "name": "b", "fields": [{"name": "u", "type": ["null", "a", "b"]}]}]}]}"#;
    let value = format!("{}1{}", "{\"u\":".repeat(40), "}".repeat(40));
    assert!(default(a, &value).unwrap_err().reason().contains("its default is invalid"));
}

#[test]
fn missing_field_between_others_has_its_default_in_its_place() {
    let text = r#"{"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 2}, {"name": "c", "type": "int"}, {"name": "d", "type": "int", "default": 4}]}"#;
    for json in [r#"{"a":1,"c":3}"#, r#"{"c":3,"a":1}"#, r#"{"d":4,"c":3,"a":1}"#] {
        assert_eq!(encode(&parse(text), json).unwrap(), [2, 4, 6, 8], "{json}");
    }
    assert_eq!(refused(&parse(text), r#"{"c":3}"#), "a: the field is missing and has no default");
}
