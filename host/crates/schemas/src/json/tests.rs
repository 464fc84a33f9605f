//! The reader beside that of `serde_json`.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

/// Reads any value; the depth of the tests is small.
fn read(reader: &mut Reader<'_>, depth: usize) -> Result<Value, Failure> {
    if depth > 100 {
        return Err(ValueError::new("too deep"));
    }
    Ok(match reader.peek()? {
        Kind::Null => reader.null().map(|()| Value::Null)?,
        Kind::Boolean => Value::Bool(reader.boolean()?),
        Kind::Number => {
            let text = reader.number()?;
            let number = serde_json::from_str::<Number>(text).map_err(|error| ValueError::new(error.to_string()))?;
            Value::Number(number)
        }
        Kind::String => Value::String(reader.string()?.into_owned()),
        Kind::Array => {
            let mut items = Vec::new();
            while reader.next_item(items.is_empty())? {
                items.push(read(reader, depth + 1)?);
            }
            Value::Array(items)
        }
        Kind::Object => {
            let mut object = Map::new();
            let mut first = true;
            while let Some(key) = reader.next_key(first)? {
                first = false;
                object.insert(key.into_owned(), read(reader, depth + 1)?);
            }
            Value::Object(object)
        }
    })
}

fn read_all(text: &[u8]) -> Result<Value, Failure> {
    let mut reader = Reader::new(text);
    let value = read(&mut reader, 0)?;
    reader.end()?;
    Ok(value)
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

#[test]
fn invalid_text_is_an_error_with_its_position() {
    let reason = |text: &str| read_all(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(reason(""), "invalid JSON at byte 0: the text ends early");
    assert_eq!(reason("[1 2]"), "invalid JSON at byte 3: a comma is expected");
    assert_eq!(reason("[1,]"), "invalid JSON at byte 3: a value is expected");
    assert_eq!(reason("{1:2}"), "invalid JSON at byte 1: a key is expected");
    assert_eq!(reason("{\"a\" 2}"), "invalid JSON at byte 5: a colon is expected");
    assert_eq!(reason("1 2"), "invalid JSON at byte 2: more text follows the value");
    assert_eq!(reason("-"), "invalid JSON at byte 1: a digit is expected");
    assert_eq!(reason("\"\\ud800x\""), "invalid JSON at byte 7: a string has half of a surrogate pair");
    assert_eq!(reason("\"\\ud800\\u0041\""), "invalid JSON at byte 13: a string has half of a surrogate pair");
    assert_eq!(reason("\"a\nb\""), "invalid JSON at byte 2: a string has a control character without an escape");
    assert_eq!(reason("\"\\x\""), "invalid JSON at byte 3: a string has an unknown escape");
    assert!(read_all(b"\"\xff\"").unwrap_err().to_string().ends_with("a string is not UTF-8"));
    assert_eq!(Reader::new(b"{}").string().unwrap_err().to_string(), "expected a string, found an object");
}

proptest! {
    #[test]
    fn reader_agrees_with_serde_json(value in values(), pretty in any::<bool>(), cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        prop_assert_eq!(read_all(&text).unwrap(), value);
        // Damaged text is refused by both, or has the same meaning for both.
        let at = cut.index(text.len());
        text[at] = byte;
        let same = |text: &[u8]| match (read_all(text), serde_json::from_slice::<Value>(text)) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        prop_assert!(same(&text), "{}", String::from_utf8_lossy(&text));
        prop_assert!(same(&text[..at]), "{}", String::from_utf8_lossy(&text[..at]));
    }

    #[test]
    fn written_string_is_read_back(text in any::<String>()) {
        let mut out = Vec::new();
        write_string(&text, &mut out);
        prop_assert_eq!(&out, &serde_json::to_vec(&text).unwrap());
        prop_assert_eq!(Reader::new(&out).string().unwrap(), text);
    }
}
