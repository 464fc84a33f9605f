//! Reads fields with `serde_json`, which checks all of the document and reports where it is wrong.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Value;

/// The values of these fields, in the order of `names`.
pub(super) fn fields<'a, const N: usize>(
    json: &'a [u8],
    names: &[&str; N],
) -> Result<[Option<Value<'a>>; N], serde_json::Error> {
    let mut document = serde_json::Deserializer::from_slice(json);
    let fields = document.deserialize_map(Object(names))?;
    document.end().map(|()| fields)
}

#[derive(Clone, Copy)]
struct Object<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Object<'_, N> {
    type Value = [Option<Value<'de>>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(wanted) = members.next_key_seed(Key(self.0))? {
            match wanted {
                Some(index) => found[index] = Some(Value(members.next_value::<&RawValue>()?.get())),
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// The index of a key among the names.
struct Key<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Key<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for Key<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}
