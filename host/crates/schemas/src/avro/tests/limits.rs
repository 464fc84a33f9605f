//! Values and schemas that would need too much of the host.

use super::*;

/// 2^40 as Avro writes a long.
const HUGE: [u8; 6] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
const TREE: &str = r#"{"type": "record", "name": "t", "fields": [{"name": "left", "type": ["null", "t"], "default": null}, {"name": "right", "type": ["null", "t"], "default": null}]}"#;

fn limited(text: &str, limits: Limits) -> AvroSchema {
    AvroSchema::parse(text, &[], Options::default(), limits).unwrap()
}

#[test]
fn huge_lengths_are_refused_without_memory() {
    for schema in ["\"string\"", "\"bytes\""] {
        let error = decode(&parse(schema), &HUGE).unwrap_err();
        assert_eq!(error.reason(), "the value ends early: 0 of 1099511627776 bytes");
    }
    let huge_array = parse(r#"{"type": "array", "items": "int"}"#);
    assert_eq!(decode(&huge_array, &HUGE).unwrap_err().to_string(), "[0]: the value ends early");
    let least = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0];
    assert_eq!(decode(&huge_array, &least).unwrap_err().reason(), "a block without a valid count");
}

#[test]
fn items_without_bytes_end_at_the_limit_of_the_size() {
    let limits = Limits { json_bytes: 1 << 20, ..Limits::default() };
    for items in [
        "\"null\"",
        r#"{"type": "record", "name": "empty", "fields": []}"#,
        r#"{"type": "fixed", "name": "f", "size": 0}"#,
    ] {
        let schema = limited(&format!(r#"{{"type": "array", "items": {items}}}"#), limits);
        assert_eq!(decode(&schema, &HUGE).unwrap_err().reason(), "more than 1048576 bytes of JSON", "{items}");
    }
    // A record of records of records: 2^40 of them, in no bytes.
    let levels = (1..40).fold(r#"{"type": "record", "name": "r0", "fields": []}"#.to_owned(), |inner, level| {
        format!(r#"{{"type": "record", "name": "r{level}", "fields": [{{"name": "a", "type": {inner}}}, {{"name": "b", "type": "r{}"}}]}}"#, level - 1)
    });
    assert_eq!(decode(&limited(&levels, limits), &[]).unwrap_err().reason(), "more than 1048576 bytes of JSON");
}

#[test]
fn levels_beyond_the_limit_are_refused_in_both_directions() {
    let schema = limited(TREE, Limits { depth: 10, ..Limits::default() });
    let json = |levels: usize| format!("{}null{}", "{\"left\":".repeat(levels), "}".repeat(levels));
    let bytes = encode(&schema, &json(10)[..]).unwrap();
    assert_eq!(decode(&schema, &bytes).unwrap().matches("left").count(), 10);
    assert_eq!(encode(&schema, &json(11)).unwrap_err().reason(), "more than 10 levels");
    assert_eq!(decode(&schema, &[2; 11]).unwrap_err().reason(), "more than 10 levels");
    // A record that always contains itself has no value.
    let endless = parse(r#"{"type": "record", "name": "e", "fields": [{"name": "e", "type": "e"}]}"#);
    assert_eq!(decode(&endless, &[]).unwrap_err().reason(), "more than 64 levels");
}

#[test]
fn deepest_values_fit_into_a_small_stack() {
    let run = || {
        let limits = Limits { depth: crate::limits::MAX_DEPTH, ..Limits::default() };
        let schema = limited(TREE, limits);
        let deep = format!("{}null{}", "{\"left\":".repeat(96), "}".repeat(96));
        let bytes = encode(&schema, &deep).unwrap();
        assert_eq!(decode(&schema, &bytes).unwrap().matches("left").count(), 96);
        for text in ["[".repeat(1 << 20), "{\"left\":".repeat(1 << 20)] {
            assert!(encode(&schema, &text).is_err());
        }
        assert!(decode(&schema, &[2; 1 << 20]).is_err());
        let nested = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(1 << 16), "}".repeat(1 << 16));
        assert!(parse_with(&nested, Options::default()).is_err());
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn text_beyond_the_limit_of_the_size_is_refused() {
    let schema = limited("\"string\"", Limits { json_bytes: 10, ..Limits::default() });
    assert!(encode(&schema, "\"12345678\"").is_ok());
    assert_eq!(refused(&schema, "\"123456789\""), "more than 10 bytes of JSON");
    assert!(decode(&schema, b"\x1012345678").is_ok());
    assert_eq!(decode(&schema, b"\x12123456789").unwrap_err().to_string(), "more than 10 bytes of JSON");
}

#[test]
fn large_defaults_do_not_multiply() {
    let text = format!(
        r#"{{"type": "array", "items": {{"type": "record", "name": "r", "fields": [{{"name": "f", "type": "string", "default": "{}"}}]}}}}"#,
        "x".repeat(1 << 20)
    );
    let schema = limited(&text, Limits { json_bytes: 8 << 20, ..Limits::default() });
    assert!(encode(&schema, "[{},{}]").is_ok());
    let many = format!("[{}{{}}]", "{},".repeat(1000));
    assert_eq!(encode(&schema, &many).unwrap_err().reason(), "more than 8388608 bytes");
}
