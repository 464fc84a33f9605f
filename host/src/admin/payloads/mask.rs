//! Text in place of record data: what kind of data it is, and how long.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mapper_core::verdict::FailureKind;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The most bytes of the structure of a value.
const MAX_STRUCTURE_BYTES: usize = 4096;

/// Masks data. Equal keys have equal masks as long as the process runs: the hash has a random secret, so that nobody can look up keys in a
/// table of hashes.
#[derive(Debug, Clone, Default)]
pub(super) struct Masks(RandomState);

impl Masks {
    pub(super) fn key(&self, key: &[u8]) -> String {
        let hash = self.0.hash_one(key) >> 16;
        format!("<key {hash:012x}, {}>", length(key.len()))
    }

    pub(super) fn key_base64(&self, base64: &str) -> String {
        BASE64_STANDARD.encode(self.key(&decoded(base64)))
    }
}

pub(super) fn value_base64(base64: &str) -> String {
    BASE64_STANDARD.encode(format!("<{} of binary data>", length(decoded(base64).len())))
}

fn decoded(base64: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(base64).unwrap_or_default()
}

/// The structure of a JSON object or list, also if its end is missing; of other text only the length.
pub(super) fn value(text: &str) -> String {
    let plain = || format!("<{} of text>", length(text.len()));
    if !text.trim_start().starts_with(['{', '[']) {
        return plain();
    }
    let mut structure = String::new();
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Structure(&mut structure).deserialize(&mut json).and_then(|()| json.end());
    let is_cut = match read {
        Ok(()) => false,
        Err(error) if error.is_eof() || structure.len() > MAX_STRUCTURE_BYTES => true,
        Err(_) => return plain(),
    };
    structure.truncate(structure.floor_char_boundary(MAX_STRUCTURE_BYTES));
    format!("<{}> {structure}{}", length(text.len()), if is_cut { "…" } else { "" })
}

pub(super) fn message(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<{} of text>", length(text.len())) }
}

/// The kind of a failure stays, and that there is no output.
pub(super) fn result(text: &str) -> String {
    if text == "skipped" {
        return text.to_owned();
    }
    let failure = text.split_once(": ").filter(|(kind, _)| FailureKind::ALL.iter().any(|known| known.name() == *kind));
    failure.map_or_else(|| value(text), |(kind, text)| format!("{kind}: {}", message(text)))
}

fn length(bytes: usize) -> String {
    if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") }
}

/// Writes names and types of a JSON value.
struct Structure<'a>(&'a mut String);

impl Structure<'_> {
    fn leaf<E: Error>(self, name: &str) -> Result<(), E> {
        self.0.push_str(name);
        // The rest is not shown.
        if self.0.len() > MAX_STRUCTURE_BYTES { Err(E::custom("too long")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Structure<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Structure<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.push('{');
        let mut separator = "";
        while let Some(name) = map.next_key::<String>()? {
            let _ = write!(self.0, "{separator}{}:", serde_json::Value::String(name));
            separator = ",";
            map.next_value_seed(Structure(self.0))?;
        }
        self.leaf("}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.push('[');
        let start = self.0.len();
        while items.next_element_seed(Structure(self.0))?.is_some() {
            self.0.push(',');
        }
        if self.0.len() > start {
            self.0.pop();
        }
        self.leaf("]")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.leaf("<string>")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.leaf("<number>")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.leaf("<number>")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.leaf("<number>")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.leaf("<boolean>")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.leaf("null")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_of_a_value_has_its_length_and_the_names_and_types_of_json() {
        for (text, masked) in [
            ("secret", "<6 bytes of text>"),
            ("", "<0 bytes of text>"),
            ("\"secret\"", "<8 bytes of text>"),
            ("{", "<1 byte> {…"),
            (
                r#"{"a":"x","b":[1,-2.5,null,{}],"c":true}"#,
                r#"<39 bytes> {"a":<string>,"b":[<number>,<number>,null,{}],"c":<boolean>}"#,
            ),
            (r#" {"a":"x","b":"cut he"#, r#"<21 bytes> {"a":<string>,"b":…"#),
            (r#"{"a":"x"} secret"#, "<16 bytes of text>"),
            (r#"{"a" "secret"}"#, "<14 bytes of text>"),
        ] {
            assert_eq!(value(text), masked, "{text}");
        }
        let many = format!("[{}1]", "1,".repeat(10_000));
        let masked = value(&many);
        assert!(masked.ends_with('…') && masked.len() < MAX_STRUCTURE_BYTES + 50, "{}", masked.len());
        assert_eq!(value(&"[".repeat(1000)), "<1000 bytes of text>");
    }

    #[test]
    fn mask_of_a_key_is_equal_for_equal_keys_of_one_process_only() {
        let masks = Masks::default();
        assert_eq!(masks.key(b"a"), masks.key(b"a"));
        assert_ne!(masks.key(b"a"), masks.key(b"b"));
        assert_ne!(masks.key(b"a"), Masks::default().key(b"a"));
        assert_eq!(decoded(&masks.key_base64(&BASE64_STANDARD.encode(b"a"))), masks.key(b"a").as_bytes());
        assert_eq!(decoded(&value_base64(&BASE64_STANDARD.encode(b"\xff\0"))), b"<2 bytes of binary data>");
    }

    #[test]
    fn mask_of_a_result_keeps_the_kind_of_a_failure() {
        assert_eq!(result("rejected: secret"), "rejected: <6 bytes of text>");
        assert_eq!(result("other: secret"), "<13 bytes of text>");
        assert_eq!((result("skipped").as_str(), result("[true]").as_str()), ("skipped", "<6 bytes> [<boolean>]"));
        assert_eq!((message("").as_str(), message("é").as_str()), ("", "<2 bytes of text>"));
    }
}
