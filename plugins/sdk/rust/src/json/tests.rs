//! `scan` and `serde_fields` must agree on every document that `scan` reads.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["id", "time", "page"];

fn text(fields: [Option<Value<'_>>; 3]) -> [Option<&str>; 3] {
    fields.map(|field| field.map(Value::text))
}

#[test]
fn scan_and_serde_find_fields_at_any_depth_and_order() {
    let visit = r#" { "id" : {"id": [1.50, {"page": "]}"}]} ,"time":"2023\u002d","other":-0.5e+3, "page":null } "#;
    let expected = [Some(r#"{"id": [1.50, {"page": "]}"}]}"#), Some(r#""2023\u002d""#), Some("null")];
    assert_eq!(text(scan::fields(visit.as_bytes(), &NAMES).expect("scan reads it")), expected);
    assert_eq!(text(serde_fields::fields(visit.as_bytes(), &NAMES).unwrap()), expected);
    assert_eq!(text(fields(b"{}", NAMES).unwrap()), [None; 3]);
    assert_eq!(text(fields(br#"{"page": 1, "page": [ ]}"#, NAMES).unwrap()), [None, None, Some("[ ]")]);
    assert_eq!(text(fields(br#"{"p\u0061ge": 1}"#, NAMES).unwrap()), [None, None, Some("1")]);
    let deep = format!(r#"{{"id": {}{}}}"#, "[".repeat(100), "]".repeat(100));
    assert_eq!(text(fields(deep.as_bytes(), NAMES).unwrap())[0].map(str::len), Some(200));
}

#[test]
fn invalid_json_is_rejected_with_its_position() {
    for (json, expected) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[1]", "invalid type: sequence, expected a JSON object at line 1 column 0"),
        ("{........", "key must be a string at line 1 column 2"),
        (r#"{"a": 01}"#, "invalid number at line 1 column 8"),
        (r#"{"a": "\x"}"#, "invalid escape at line 1 column 9"),
        (r#"{"a": 1}}"#, "trailing characters at line 1 column 9"),
        ("{\"a\": \"\n\"}", "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 7"),
    ] {
        assert_eq!(fields(json.as_bytes(), NAMES).unwrap_err().to_string(), expected);
    }
    assert!(fields(b"{\"id\": \"\xff\"}", NAMES).is_err());
    assert!(fields(b"{\"\xff\": 1}", NAMES).is_err());
}

#[test]
fn as_str_decodes_strings_only() {
    let of = |text| Value(text).as_str().unwrap();
    assert_eq!(of(r#""a\u002fb""#).as_deref(), Some("a/b"));
    assert_eq!(of(r#""ab""#).as_deref(), Some("ab"));
    for other in ["null", "1", "[\"a\"]"] {
        assert_eq!(of(other), None, "{other}");
    }
    assert!(Value(r#""\ud800""#).as_str().is_err());
}

/// JSON objects with white space and escapes at every place where RFC 8259 allows them.
fn json() -> impl Strategy<Value = String> {
    let blank = prop::sample::select(vec!["", "", " ", "\n\t ", "  "]);
    let string = prop::sample::select(vec![
        "",
        "a",
        "id",
        "time",
        "page",
        "seven7!",
        "eight8!!",
        "a longer text, as some are",
        r"\u00e9",
        r#"\"\\"#,
        "é, ü and 語",
    ]);
    let string = string.prop_map(|text| format!("\"{text}\""));
    let scalar = prop_oneof![
        string.clone(),
        prop::sample::select(vec!["null", "true", "false", "0", "-1", "12.5", "1e9", "-0.0E-7"])
            .prop_map(str::to_owned)
    ];
    let value = scalar.prop_recursive(4, 24, 4, {
        let (blank, string) = (blank.clone(), string.clone());
        move |inner| {
            let item = (blank.clone(), inner, blank.clone()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
            let member = (blank.clone(), string.clone(), blank.clone(), item.clone())
                .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
            prop_oneof![
                prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        }
    });
    let member = (blank.clone(), string, blank, value).prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
    prop::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    #[test]
    fn scan_and_serde_agree_on_valid_json(json in json()) {
        let expected = text(serde_fields::fields(json.as_bytes(), &NAMES).unwrap());
        prop_assert_eq!(text(fields(json.as_bytes(), NAMES).unwrap()), expected);
        // Scan leaves only keys with escapes and keys that are not ASCII to serde.
        if let Some(fast) = scan::fields(json.as_bytes(), &NAMES) {
            prop_assert_eq!(text(fast), expected);
        } else {
            prop_assert!(json.contains('\\') || !json.is_ascii());
        }
    }

    #[test]
    fn scan_accepts_damaged_json_only_if_serde_does(
        json in json(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..4),
    ) {
        let mut json = json.into_bytes();
        for (at, byte, edit) in edits {
            let at = at.index(json.len() + 1);
            match edit {
                0 => json.insert(at, byte),
                1 if at < json.len() => json[at] = byte,
                _ => json.truncate(at),
            }
        }
        if let Some(fast) = scan::fields(&json, &NAMES) {
            prop_assert_eq!(text(fast), text(serde_fields::fields(&json, &NAMES).unwrap()));
        }
    }
}
