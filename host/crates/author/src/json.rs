//! Parses JSON objects with a fixed set of keys. An error for an unknown key suggests a similar key.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use mapper_core::suggestion::closest;

/// The fields of an object in source order, with their raw values.
#[derive(Debug)]
pub(super) struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields).map(Self)
    }
}

impl<'a> Object<'a> {
    /// # Errors
    /// The text is not an object, or a key is unknown or duplicated.
    pub(super) fn read(text: &'a str, known: &[&str]) -> Result<Self, String> {
        let object: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (index, (key, _)) in object.0.iter().enumerate() {
            if !known.contains(&&**key) {
                let hint = closest(key, known.iter().map(|known| (*known).to_owned())).map_or_else(
                    || format!("; known keys: {}", known.join(", ")),
                    |near| format!("; did you mean \"{near}\"?"),
                );
                return Err(format!("unknown key \"{key}\"{hint}"));
            }
            if object.0[..index].iter().any(|(before, _)| before == key) {
                return Err(format!("duplicate key \"{key}\""));
            }
        }
        Ok(object)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }

    pub(super) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.fields().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// # Errors
    /// The field has another type.
    pub(super) fn get<T: Deserialize<'a>>(&self, key: &str) -> Result<Option<T>, String> {
        let read = |raw: &'a RawValue| serde_json::from_str(raw.get()).map_err(|error| field_error(key, &error));
        self.raw(key).map(read).transpose()
    }
}

/// Without the position, which would be relative to the value, not to the file.
fn field_error(key: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    format!("\"{key}\": {}", text.split(" at line ").next().unwrap_or(&text))
}

/// # Errors
/// The text is not base64.
pub(super) fn decode_base64(key: &str, text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| format!("\"{key}\": not base64: {error}"))
}

/// A JSON field for bytes: `key` with text if they are UTF-8, otherwise `KEY_base64`.
pub(super) fn bytes_field(key: &str, bytes: &[u8]) -> (String, serde_json::Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (key.to_owned(), text.into()),
        Err(_) => (format!("{key}_base64"), BASE64_STANDARD.encode(bytes).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_unknown_and_duplicate_keys() {
        let read = |text| Object::read(text, &["value", "key"]).map(|_| ()).unwrap_err();
        assert_eq!(read(r#"{"vale": 1}"#), "unknown key \"vale\"; did you mean \"value\"?");
        assert_eq!(read(r#"{"xyzzyx": 1}"#), "unknown key \"xyzzyx\"; known keys: value, key");
        assert_eq!(read(r#"{"key": 1, "key": 2}"#), "duplicate key \"key\"");
        assert!(read("[1]").contains("expected a JSON object"));
        assert!(read(r#"{"key": 1"#).contains("EOF"));
        let object = Object::read(r#"{"key": {"a":  1.50}}"#, &["key"]).unwrap();
        assert_eq!(object.raw("key").unwrap().get(), r#"{"a":  1.50}"#);
        assert!(object.get::<i64>("key").unwrap_err().starts_with("\"key\": invalid type: map"));
    }
}
