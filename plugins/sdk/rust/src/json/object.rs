//! A JSON object as an output.

use std::fmt;

use super::Value;
use crate::columns::OutputColumns;
use crate::output::IntoOutputs;

/// A JSON object with these members, in this order. As an output it is written into the batch without an intermediate copy. Key, headers and
/// timestamp are those of the input record.
///
/// ```
/// use mapper_sdk::json::{Object, fields};
///
/// let [id] = fields(br#"{"id": 1.50, "page": "home"}"#, ["id"])?;
/// let object = Object([("id", id.unwrap().into()), ("seconds", 7.into()), ("by", "me".into())]);
/// assert_eq!(object.to_string(), r#"{"id":1.50,"seconds":7,"by":"me"}"#);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a, const N: usize>(pub [(&'a str, Member<'a>); N]);

/// The value of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member<'a> {
    /// A value of the input, as it is written there.
    Kept(Value<'a>),
    /// A number.
    Integer(i64),
    /// A string.
    Text(&'a str),
}

impl<'a> From<Value<'a>> for Member<'a> {
    fn from(value: Value<'a>) -> Self {
        Self::Kept(value)
    }
}

impl From<i64> for Member<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<'a> From<&'a str> for Member<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<const N: usize> Object<'_, N> {
    /// Appends the JSON text to `json`.
    pub fn write(&self, json: &mut Vec<u8>) {
        json.push(b'{');
        for (index, (name, member)) in self.0.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            text(json, name);
            json.push(b':');
            match member {
                Member::Kept(value) => json.extend_from_slice(value.text().as_bytes()),
                Member::Integer(number) => written(serde_json::to_writer(&mut *json, number)),
                Member::Text(member) => text(json, member),
            }
        }
        json.push(b'}');
    }
}

fn text(json: &mut Vec<u8>, text: &str) {
    written(serde_json::to_writer(json, text));
}

fn written(written: Result<(), serde_json::Error>) {
    written.expect("strings and numbers have a JSON form, and a vector takes every write");
}

impl<const N: usize> fmt::Display for Object<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = Vec::new();
        self.write(&mut json);
        f.write_str(&String::from_utf8_lossy(&json))
    }
}

impl<const N: usize> IntoOutputs for Object<'_, N> {
    fn write(self, outputs: &mut OutputColumns) {
        outputs.push_value(|json| Object::write(&self, json));
    }
}
