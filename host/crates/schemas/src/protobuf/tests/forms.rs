//! The form of each type in JSON, as `docs/schemas.md` shows it.

use super::*;

/// The JSON form of a message with these fields, and its bytes.
fn assert_form(fields: &str, json: &str, bytes: &[u8]) {
    let visit = First::proto3(fields);
    assert_eq!(visit.decode(bytes).unwrap(), json);
    assert_eq!(visit.encode(json).unwrap(), bytes, "{json}");
}

#[test]
fn integers_of_64_bits_are_strings() {
    assert_form("int64 id = 1;", r#"{"id":"9007199254740993"}"#, &[8, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
    assert_form("int32 id = 1;", r#"{"id":1}"#, &[8, 1]);
    assert_form("map<int64, int64> by_id = 1;", r#"{"byId":{"1":"2"}}"#, &[10, 4, 8, 1, 16, 2]);
    // A number is accepted, too.
    assert_eq!(First::proto3("int64 id = 1;").encode(r#"{"id":1}"#).unwrap(), [8, 1]);
}

#[test]
fn bytes_enums_and_floats_have_their_canonical_form() {
    assert_form("bytes b = 1;", r#"{"b":"/w=="}"#, &[10, 1, 0xff]);
    let with_enum =
        First::new("syntax = \"proto3\"; message Visit { Kind kind = 1; } enum Kind { NONE = 0; NEW = 1; }");
    assert_eq!(with_enum.decode(&[8, 1]).unwrap(), r#"{"kind":"NEW"}"#);
    // A number without a name, for example a newer one.
    assert_eq!(with_enum.decode(&[8, 9]).unwrap(), r#"{"kind":9}"#);
    assert_eq!(with_enum.encode(r#"{"kind":9}"#).unwrap(), [8, 9]);
    assert!(with_enum.refused(r#"{"kind":"OLD"}"#).starts_with("kind: "));
    for (json, number) in [("\"NaN\"", f64::NAN), ("\"Infinity\"", f64::INFINITY), ("\"-Infinity\"", f64::NEG_INFINITY)]
    {
        assert_form("double d = 1;", &format!("{{\"d\":{json}}}"), &[&[9][..], &number.to_le_bytes()].concat());
    }
}

#[test]
fn field_with_its_default_is_absent_unless_its_presence_is_explicit() {
    let visit = First::proto3("int32 a = 1; optional int32 b = 2; repeated int32 c = 3; oneof o { int32 d = 4; }");
    assert_eq!(visit.decode(&[8, 0]).unwrap(), "{}");
    assert_eq!(visit.decode(&[16, 0, 32, 0]).unwrap(), r#"{"b":0,"d":0}"#);
    assert_eq!(visit.encode(r#"{"a":0,"b":0,"c":[],"d":0}"#).unwrap(), [16, 0, 32, 0]);
    assert_eq!(visit.encode(r#"{"a":null,"b":null}"#).unwrap(), b"");
    assert_eq!(First::proto3("oneof o { int32 a = 1; int32 b = 2; }").decode(&[8, 1, 16, 2]).unwrap(), r#"{"b":2}"#);
    let twice = First::proto3("oneof o { int32 a = 1; int32 b = 2; }").refused(r#"{"a":1,"b":2}"#);
    assert!(twice.contains("oneof"), "{twice}");
}

#[test]
fn negative_zero_needs_an_explicit_presence() {
    let json = r#"{"d":-0.0}"#;
    let explicit = First::proto3("optional double d = 1;");
    assert_eq!(explicit.decode(&explicit.encode(json).unwrap()).unwrap(), json);
    // `prost-reflect` compares it with the default, and it is equal.
    assert_eq!(First::proto3("double d = 1;").encode(json).unwrap(), b"");
}

#[test]
fn names_of_the_file_are_accepted_too() {
    let visit = First::proto3("string page_name = 1; string x = 2 [json_name = \"y\"];");
    assert_eq!(visit.encode(r#"{"page_name":"a"}"#).unwrap(), visit.encode(r#"{"pageName":"a"}"#).unwrap());
    assert_eq!(visit.decode(&[18, 1, b'a']).unwrap(), r#"{"y":"a"}"#);
}

#[test]
fn well_known_types_have_their_own_form() {
    let all = First::new(ALL);
    for json in [
        r#"{"time":"1969-12-31T23:59:59.999999999Z"}"#,
        r#"{"time":"0001-01-01T00:00:00Z"}"#,
        r#"{"time":"9999-12-31T23:59:59.001Z"}"#,
        r#"{"duration":"-0.000001s"}"#,
        r#"{"duration":"315576000000s"}"#,
        r#"{"mask":"aB.c,d"}"#,
        r#"{"struct":{"a":[1.0,null,true,{"b":"c"}]}}"#,
        r#"{"value":null}"#,
        r#"{"list":[1.5,[]]}"#,
        r#"{"empty":{}}"#,
        r#"{"any":{"@type":"type.googleapis.com/test.Other","one":1}}"#,
        r#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}"#,
        r#"{"int64Value":"0","boolValue":false,"bytesValue":""}"#,
        r#"{"nothing":null}"#,
    ] {
        let bytes = all.encode(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(all.decode(&bytes).unwrap(), json);
    }
    let nan = all.encode(r#"{"doubleValue":"NaN","floatValue":"-Infinity"}"#).unwrap();
    assert_eq!(all.decode(&nan).unwrap(), r#"{"doubleValue":"NaN","floatValue":"-Infinity"}"#);
}

#[test]
fn value_without_a_form_in_json_is_an_error_with_its_path() {
    let all = First::new(ALL);
    // The field, its number as a key of the wire format, and its bytes.
    let reason = |number: u32, bytes: &[u8]| {
        let mut message = Vec::new();
        prost_reflect::prost::encoding::bytes::encode(number, &bytes.to_vec(), &mut message);
        all.decode(&message).unwrap_err().to_string()
    };
    assert_eq!(
        reason(31, &[16, 0x80, 0x94, 0xeb, 0xdc, 3]),
        "time: the timestamp with 0 seconds and 1000000000 nanoseconds is out of range"
    );
    assert!(reason(31, &[8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]).contains("is out of range"));
    assert!(
        reason(32, &[8, 1, 16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])
            .contains("1 seconds and -1 nanoseconds")
    );
    assert_eq!(reason(33, b"\x0a\x02aB"), "mask: the path \"aB\" of a google.protobuf.FieldMask has no form in JSON");
    for path in ["", "_", "a_", "a__b", "a_1", "a,b"] {
        let bytes = [&[10, path.len() as u8][..], path.as_bytes()].concat();
        assert_eq!(
            reason(33, &bytes),
            format!("mask: the path {path:?} of a google.protobuf.FieldMask has no form in JSON")
        );
    }
    assert_eq!(reason(35, &[]), "value: a google.protobuf.Value without a value has no form in JSON");
    let nan = [&[17][..], &f64::NAN.to_le_bytes()].concat();
    assert_eq!(reason(35, &nan), "value: the number NaN of a google.protobuf.Value has no form in JSON");
    assert_eq!(reason(38, b"\x0a\x03a/b"), "any: the schema has no type \"a/b\", which a google.protobuf.Any has");
    assert_eq!(reason(31, &[24, 1]), "time: the type google.protobuf.Timestamp has no field with the number 3");
}

#[test]
fn wrong_json_is_an_error_with_its_path() {
    let all = First::new(ALL);
    assert!(
        all.refused(r#"{"children":[{},{"child":{"int32Field":"x"}}]}"#).starts_with("children[1].child.int32Field: ")
    );
    assert!(all.refused(r#"{"byName":{"k":{"page":1}}}"#).starts_with("byName.k"));
    assert!(all.refused(r#"{"page":1}"#).contains("unrecognized field name 'page'"));
    assert!(all.refused(r#"{"int32Field":2147483648}"#).starts_with("int32Field: "));
    assert!(all.refused("[]").contains("invalid type"));
    assert!(all.refused("{} {}").contains("trailing"));
}

#[test]
fn damaged_message_is_an_error_with_its_path() {
    let all = First::new(ALL);
    let bytes = all.encode(r#"{"children":[{},{"child":{"stringField":"abc"}}]}"#).unwrap();
    let at = bytes.windows(3).position(|window| window == b"abc").unwrap();
    let mut damaged = bytes.clone();
    damaged[at] = 0xff;
    let error = all.decode(&damaged).unwrap_err();
    assert_eq!(error.path(), "children[1].child.stringField", "{error}");
    assert!(error.reason().contains("UTF-8"), "{error}");
    let error = all.decode(&bytes[..bytes.len() - 1]).unwrap_err();
    assert_eq!(error.path(), "children[1]", "{error}");
}

#[test]
fn required_field_that_is_missing_is_an_error() {
    let text = "syntax = \"proto2\"; message Visit { required int32 id = 1; optional Visit next = 2; repeated Visit all = 3; optional group More = 4 { optional int32 a = 1; } extensions 100 to 200; } extend Visit { optional string extra = 100; }";
    let visit = First::new(text);
    for json in [r#"{"id":0,"next":{"id":1}}"#, r#"{"id":1,"more":{"a":1},"[extra]":"x"}"#] {
        assert_eq!(visit.decode(&visit.encode(json).unwrap()).unwrap(), json);
    }
    assert_eq!(visit.refused("{}"), "id: the field is missing and required");
    assert_eq!(visit.refused(r#"{"id":1,"all":[{"id":1},{}]}"#), "all[1].id: the field is missing and required");
}
