//! The form of each type in JSON, as `docs/schemas.md` shows it.

use super::*;

/// A schema, the JSON form of a value and its bytes.
fn assert_form(schema: &str, json: &str, bytes: &[u8]) {
    let schema = parse(schema);
    assert_eq!(decode(&schema, bytes).unwrap(), json);
    assert_eq!(encode(&schema, json).unwrap(), bytes, "{json}");
}

#[test]
fn numbers_keep_their_digits() {
    assert_form("\"long\"", "9007199254740993", &[0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20]);
    assert_form("\"long\"", "-9223372036854775808", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    assert_form("\"double\"", "0.1", &0.1_f64.to_le_bytes());
    assert_form("\"double\"", "-0.0", &(-0.0_f64).to_le_bytes());
    assert_form("\"float\"", "0.1", &0.1_f32.to_le_bytes());
    assert_form("\"double\"", "\"NaN\"", &f64::NAN.to_le_bytes());
    assert_form("\"float\"", "\"-Infinity\"", &f32::NEG_INFINITY.to_le_bytes());
}

#[test]
fn integral_number_with_a_fraction_or_exponent_is_an_integer() {
    let schema = parse("\"int\"");
    assert_eq!(encode(&schema, "64.0").unwrap(), encode(&schema, "64").unwrap());
    assert_eq!(encode(&schema, "6.4e1").unwrap(), encode(&schema, "64").unwrap());
    assert_eq!(refused(&schema, "6.5"), "expected an integer of 64 bits, found \"6.5\"");
    assert_eq!(refused(&schema, "2147483648"), "expected an integer of 32 bits, found \"2147483648\"");
    assert_eq!(
        refused(&parse("\"long\""), "9223372036854775808"),
        "expected an integer of 64 bits, found \"9223372036854775808\""
    );
    assert_eq!(refused(&parse("\"double\""), "1e999"), "the number 1e999 is out of range");
}

#[test]
fn bytes_fixed_uuid_and_duration_are_text() {
    assert_form("\"bytes\"", "\"/w==\"", &[2, 0xff]);
    assert_form(r#"{"type": "fixed", "name": "f", "size": 2}"#, "\"AAE=\"", &[0, 1]);
    let uuid = r#"{"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}"#;
    assert_form(
        uuid,
        "\"00010203-0405-0607-0809-0a0b0c0d0e0f\"",
        &std::array::from_fn::<u8, 16, _>(|index| index as u8),
    );
    let duration = r#"{"type": "fixed", "name": "d", "size": 12, "logicalType": "duration"}"#;
    assert_form(duration, "\"P1M2DT3.004S\"", &[1, 0, 0, 0, 2, 0, 0, 0, 0xbc, 0x0b, 0, 0]);
    let schema = parse(r#"{"type": "fixed", "name": "f", "size": 2}"#);
    assert_eq!(refused(&schema, "\"AA==\""), "expected 2 bytes as base64, found 1");
    assert!(refused(&parse("\"bytes\""), "\"_w==\"").starts_with("expected base64: "));
}

#[test]
fn times_are_text_or_the_numbers_of_avro() {
    let schema = r#"{"type": "long", "logicalType": "timestamp-millis"}"#;
    assert_form(schema, "\"2023-11-01T00:00:00.000Z\"", &[0x80, 0xa0, 0xf0, 0x82, 0xf1, 0x62]);
    let epoch = parse_with(schema, EPOCH).unwrap();
    assert_eq!(decode(&epoch, &[0x80, 0xa0, 0xf0, 0x82, 0xf1, 0x62]).unwrap(), "1698796800000");
    assert_eq!(refused(&epoch, "\"2023-11-01T00:00:00.000Z\""), "expected a number, found a string");
    assert_form(r#"{"type": "int", "logicalType": "date"}"#, "\"1970-01-02\"", &[2]);
    // An attribute of the field instead of its type has no effect, as in other implementations.
    let field = r#"{"type": "record", "name": "r", "fields": [{"name": "f", "type": "long", "logicalType": "timestamp-millis"}]}"#;
    assert_form(field, r#"{"f":1}"#, &[2]);
}

#[test]
fn longs_are_strings_on_request() {
    let schema = parse_with(r#"["null", "long"]"#, Options { longs: Longs::String, ..Options::default() }).unwrap();
    assert_eq!(decode(&schema, &[2, 2]).unwrap(), "\"1\"");
    assert_eq!(encode(&schema, "\"1\"").unwrap(), [2, 2]);
    assert_eq!(refused(&schema, "\"x\""), "expected a string with an integer of 64 bits, found \"x\"");
}

#[test]
fn union_is_bare_if_the_kind_names_the_branch() {
    assert_form(r#"["null", "string"]"#, "null", &[0]);
    assert_form(r#"["null", "string"]"#, "\"x\"", &[2, 2, b'x']);
    assert_form(
        r#"["null", "boolean", "long", "string", {"type": "array", "items": "int"}, {"type": "map", "values": "int"}]"#,
        "{\"a\":1}",
        &[10, 2, 2, b'a', 2, 0],
    );
    let schema = parse(r#"["null", "string"]"#);
    assert_eq!(refused(&schema, "1"), "expected one of null, string, found a number");
}

#[test]
fn union_is_tagged_if_a_kind_is_shared() {
    let union = r#"["null", "string", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, {"type": "enum", "name": "n.E", "symbols": ["x"]}, "long"]"#;
    assert_form(union, "null", &[0]);
    assert_form(union, "{\"string\":\"x\"}", &[2, 2, b'x']);
    assert_form(union, "{\"bytes\":\"0.01\"}", &[4, 2, 1]);
    assert_form(union, "{\"n.E\":\"x\"}", &[6, 0]);
    assert_form(union, "{\"long\":1}", &[8, 2]);
    // A double that is not finite is a string.
    assert_form(r#"["double", "string"]"#, "{\"double\":0.5}", &[0, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f]);
    assert_form(r#"["null", "double"]"#, "\"NaN\"", &[2, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]);
    let schema = parse(union);
    let expected = "expected an object with one key of null, string, bytes, n.E, long, found";
    assert_eq!(refused(&schema, "\"x\""), format!("{expected} a string"));
    assert_eq!(refused(&schema, "{}"), format!("{expected} \"{{}}\""));
    assert_eq!(refused(&schema, "{\"int\":1}"), format!("{expected} \"int\""));
    assert_eq!(refused(&schema, "{\"null\":null}"), format!("{expected} \"null\""));
    assert_eq!(refused(&schema, "{\"long\":1,\"string\":\"\"}"), format!("{expected} \"string\""));
    assert_eq!(refused(&schema, "{\"long\":\"1\"}"), "long: expected a number, found a string");
}

#[test]
fn union_of_a_record_and_a_map_is_tagged() {
    let union =
        r#"[{"type": "record", "name": "R", "namespace": "a.b", "fields": []}, {"type": "map", "values": "int"}]"#;
    assert_form(union, "{\"a.b.R\":{}}", &[0]);
    assert_form(union, "{\"map\":{\"k\":1}}", &[2, 2, 2, b'k', 2, 0]);
}

const VISIT: &str = r#"{"type": "record", "name": "visit", "fields": [
    {"name": "id", "type": "string"},
    {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "item", "fields": [{"name": "price", "type": "double"}, {"name": "tags", "type": {"type": "map", "values": "int"}}]}}},
    {"name": "next", "type": ["null", "visit"]}
]}"#;

#[test]
fn fields_are_read_in_any_order() {
    let schema = parse(VISIT);
    let ordered =
        encode(&schema, r#"{"id":"a","items":[{"price":1,"tags":{}}],"next":{"id":"b","items":[],"next":null}}"#)
            .unwrap();
    let other = encode(
        &schema,
        r#" { "next" : {"items":[],"next":null,"id":"b"}, "items":[{"tags":{},"price":1.0}], "id":"a" } "#,
    )
    .unwrap();
    assert_eq!(ordered, other);
}

#[test]
fn wrong_value_is_an_error_with_its_path() {
    let schema = parse(VISIT);
    let nested = r#"{"id":"a","items":[],"next":{"id":"b","items":[{"price":1,"tags":{}},{"price":"x","tags":{}}],"next":null}}"#;
    assert_eq!(
        refused(&schema, nested),
        "next.items[1].price: expected a number, \"NaN\", \"Infinity\" or \"-Infinity\", found \"x\""
    );
    let key = r#"{"id":"a","items":[{"tags":{"a.b":true},"price":1}],"next":null}"#;
    assert_eq!(refused(&schema, key), "items[0].tags[\"a.b\"]: expected a number, found a boolean");
    assert_eq!(refused(&schema, r#"{"id":"a","page":1}"#), "page: the record visit has no such field");
    assert_eq!(refused(&schema, r#"{"id":"a","items":[]}"#), "next: the field is missing and has no default");
    assert_eq!(refused(&schema, r#"{"items":[],"next":null}"#), "id: the field is missing and has no default");
    assert_eq!(refused(&schema, r#"{"id":"a","id":"b"}"#), "id: an object has this key twice");
    assert_eq!(refused(&schema, r#"{"items":[],"items":[]}"#), "items: an object has this key twice");
    assert_eq!(
        refused(&schema, r#"{"id":"a","items":[{"price":1,"tags":{"k":1,"a":1,"k":2}}]}"#),
        "items[0].tags[\"k\"]: an object has this key twice"
    );
    assert_eq!(refused(&schema, "[]"), "expected an object, found an array");
    assert_eq!(
        refused(&schema, r#"{"id":"a","items":[],"next":null} x"#),
        "invalid JSON at byte 34: more text follows the value"
    );
    let bytes = encode(&schema, r#"{"id":"a","items":[{"price":1,"tags":{"k":1}}],"next":null}"#).unwrap();
    assert_eq!(decode(&schema, &bytes[..bytes.len() - 4]).unwrap_err().path(), "items[0].tags[\"k\"]");
    assert_eq!(
        decode(&schema, &bytes[..5]).unwrap_err().to_string(),
        "items[0].price: the value ends early: 2 of 8 bytes"
    );
}

#[test]
fn damaged_bytes_are_an_error_with_a_reason() {
    let reason = |schema: &str, bytes: &[u8]| decode(&parse(schema), bytes).unwrap_err().to_string();
    assert_eq!(reason("\"int\"", &[2, 0]), "bytes follow the value: 1 of 2");
    assert_eq!(reason("\"int\"", &[]), "the value ends early");
    assert_eq!(reason("\"int\"", &[0x80]), "the value ends early");
    assert_eq!(reason("\"int\"", &[0xfe, 0xff, 0xff, 0xff, 0x1f]), "4294967295 is no integer of 32 bits");
    assert_eq!(reason("\"long\"", &[0xff; 11]), "an integer has more than 64 bits");
    assert_eq!(
        reason("\"long\"", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
        "an integer has more than 64 bits"
    );
    assert_eq!(reason("\"boolean\"", &[2]), "a boolean that is neither 0 nor 1");
    assert_eq!(reason("\"string\"", &[1]), "the length -1");
    assert!(reason("\"string\"", &[2, 0xff]).starts_with("a string is not UTF-8"));
    assert_eq!(reason(r#"["null"]"#, &[2]), "the union has 1 branches, and none at 1");
    assert_eq!(reason(r#"["null"]"#, &[1]), "the union has 1 branches, and none at -1");
    assert_eq!(
        reason(r#"{"type": "enum", "name": "e", "symbols": ["a"]}"#, &[2]),
        "the enum has 1 symbols, and none at 1"
    );
    assert_eq!(
        reason(r#"{"type": "map", "values": "null"}"#, &[6, 2, b'k', 2, b'a', 2, b'k', 0]),
        "[\"k\"]: a map has this key twice"
    );
    assert_eq!(reason(r#"{"type": "int", "logicalType": "time-millis"}"#, &[1]), "-1 is no time of a day");
}

#[test]
fn blocks_of_an_array_are_read_in_every_form() {
    let schema = parse(r#"{"type": "array", "items": "int"}"#);
    assert_eq!(decode(&schema, &[4, 2, 4, 2, 6, 0]).unwrap(), "[1,2,3]");
    // A negative count has the size of the block behind it.
    assert_eq!(decode(&schema, &[3, 4, 2, 4, 0]).unwrap(), "[1,2]");
    assert_eq!(encode(&schema, "[1,2,3]").unwrap(), [6, 2, 4, 6, 0]);
    assert_eq!(encode(&schema, "[]").unwrap(), [0]);
}
