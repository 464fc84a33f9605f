//! Messages and files that would need too much of the host.

use super::*;

fn limited(text: &str, limits: Limits) -> First {
    First::of(ProtobufSchema::parse(text, &[], UnknownFields::Keep, limits).unwrap())
}

/// Runs on a stack as small as that of any thread of the host.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn levels_beyond_the_limit_are_refused_in_both_directions() {
    let visit = limited(
        "syntax = \"proto3\"; message Visit { Visit next = 1; int32 id = 2; }",
        Limits { depth: 10, ..Limits::default() },
    );
    let json = |levels: usize| format!("{}{{\"id\":1}}{}", "{\"next\":".repeat(levels - 1), "}".repeat(levels - 1));
    let bytes = visit.encode(&json(10)).unwrap();
    assert_eq!(visit.decode(&bytes).unwrap(), json(10));
    assert_eq!(visit.refused(&json(11)), "more than 10 levels");
    let deeper = [&[10, bytes.len() as u8][..], &bytes].concat();
    assert_eq!(visit.decode(&deeper).unwrap_err().reason(), "more than 10 levels");
}

#[test]
fn messages_within_any_do_not_overflow_the_stack() {
    on_small_stack(|| {
        let visit = First::new(
            "syntax = \"proto3\"; import \"google/protobuf/any.proto\"; message Visit { google.protobuf.Any any = 1; }",
        );
        let mut bytes = Vec::new();
        for _ in 0..5000 {
            let mut any = b"\x0a\x07x/Visit".to_vec();
            prost_reflect::prost::encoding::bytes::encode(2, &bytes, &mut any);
            bytes.clear();
            prost_reflect::prost::encoding::bytes::encode(1, &any, &mut bytes);
        }
        assert_eq!(visit.decode(&bytes).unwrap_err().reason(), "more than 64 levels");
        let json = format!("{}{{}}{}", "{\"any\":{\"@type\":\"x/Visit\",\"any\":".repeat(5000), "}}".repeat(5000));
        assert_eq!(visit.refused(&json), "more than 64 levels");
    });
}

#[test]
fn deepest_values_fit_into_the_stack_of_a_thread() {
    on_small_stack(|| {
        let limits = Limits { depth: crate::limits::MAX_DEPTH, ..Limits::default() };
        let all = limited(ALL, limits);
        for (start, end) in [
            ("{\"child\":", "}"),
            ("{\"struct\":{\"a\":[", "]}}"),
            ("{\"any\":{\"@type\":\"x/test.All\",\"child\":", "}}"),
            ("{\"byName\":{\"a\":", "}}"),
        ] {
            let levels = limits.depth / 4;
            let inner = if start.ends_with('[') { "1.0" } else { "{}" };
            let json = match start.starts_with("{\"struct") {
                true => format!("{{\"struct\":{{\"a\":{}{inner}{}}}}}", "[".repeat(levels), "]".repeat(levels)),
                false => format!("{}{inner}{}", start.repeat(levels), end.repeat(levels)),
            };
            let bytes = all.encode(&json).unwrap_or_else(|error| panic!("{start}: {error}"));
            let _ = all.decode(&bytes);
            let with_unknown = json.replacen(inner, "{\"@unknown\":\"2IMBAQ==\"}", 1);
            let _ = all.encode(&with_unknown);
        }
        for text in ["{\"child\":".repeat(1 << 18), "[".repeat(1 << 20), "{\"struct\":{\"a\":".repeat(1 << 18)] {
            assert_eq!(all.refused(&text), "more than 96 levels");
        }
        // Lengths of messages within each other that are all too long.
        assert!(all.decode(&[0x8a, 0x01, 0x7f].repeat(1 << 16)).is_err());
    });
}

#[test]
fn file_with_many_levels_is_refused() {
    on_small_stack(|| {
        let reason = |text: String| {
            ProtobufSchema::parse(&text, &[], UnknownFields::Keep, Limits::default()).unwrap_err().to_string()
        };
        for open in ["message A { ", "message A { option (x) = { a: ", "message A { oneof a { group B = 1 {"] {
            assert_eq!(reason(open.repeat(1 << 16)), "the schema has more than 64 levels of brackets");
        }
        // Brackets in strings and comments do not count.
        let text = format!(
            "syntax = \"proto3\"; // {0}\n/* {0} */ message A {{ string a = 1 [json_name = \"{0}\\\"{0}\"]; }}",
            "{".repeat(100)
        );
        assert!(ProtobufSchema::parse(&text, &[], UnknownFields::Keep, Limits::default()).is_ok());
        for endless in ["message A { /* {", "message A { \"\\", "option a = \"", "//", "/*"] {
            let _ = ProtobufSchema::parse(endless, &[], UnknownFields::Keep, Limits::default());
        }
    });
}

#[test]
fn long_chain_of_imports_fits_into_the_stack_of_a_thread() {
    on_small_stack(|| {
        let files: Vec<(String, String)> = (0..256)
            .map(|index| {
                let import = if index > 0 { format!("import \"{}.proto\";", index - 1) } else { String::new() };
                (format!("{index}.proto"), format!("syntax = \"proto3\"; {import} message M{index} {{}}"))
            })
            .collect();
        let references: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let text = "syntax = \"proto3\"; import \"255.proto\"; message Visit { M255 inner = 1; }";
        ProtobufSchema::parse(text, &references, UnknownFields::Keep, Limits::default()).unwrap();
    });
}

#[test]
fn huge_lengths_and_large_texts_are_refused() {
    let visit = limited(
        "syntax = \"proto3\"; message Visit { string page = 1; repeated Visit list = 2; }",
        Limits { json_bytes: 1000, ..Limits::default() },
    );
    assert_eq!(visit.decode(&[10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20]).unwrap_err().path(), "page");
    assert_eq!(visit.decode(&[18, 0].repeat(1000)).unwrap_err().reason(), "more than 1000 bytes of JSON");
    assert_eq!(visit.refused(&format!("{{\"page\":\"{}\"}}", "x".repeat(1000))), "more than 1000 bytes of JSON");
    assert_eq!(
        visit.decode(&[&[10, 0xe8, 7][..], &[b'x'; 1000]].concat()).unwrap_err().reason(),
        "more than 1000 bytes of JSON"
    );
}

#[test]
fn struct_with_many_levels_is_refused_in_both_directions() {
    on_small_stack(|| {
        let all = First::new(ALL);
        let mut reasons = Vec::new();
        // Within messages: the parser of the JSON counts the levels of a value alone.
        for (around, (open, close)) in [(0, ("[", "]")), (0, ("{\"a\":", "}")), (15, ("[", "]"))] {
            for levels in 1..=63 - around {
                let value = format!("{}1.0{}", open.repeat(levels), close.repeat(levels));
                let json = format!("{}{{\"value\":{value}}}{}", "{\"child\":".repeat(around), "}".repeat(around));
                match all.encode(&json) {
                    Ok(bytes) => assert_eq!(all.decode(&bytes).unwrap(), json),
                    Err(error) => reasons.push(error.reason().to_owned()),
                }
            }
        }
        assert!(reasons.iter().all(|reason| reason.contains("recursion limit")), "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason.starts_with("the message can't be read back")), "{reasons:?}");
    });
}
