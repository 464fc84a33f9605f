//! Reads some fields of a JSON object and writes a new object from them, without decoding the other fields.

mod object;
mod scan;
mod serde_fields;

use std::borrow::Cow;

pub use object::{Member, Object};

/// A JSON value of any kind, as it is written in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// The JSON text. A string has its quotes and escapes.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// The decoded string, or `None` if the value is not a string.
    ///
    /// # Errors
    /// If the string has an unpaired surrogate, such as `"\ud800"`: UTF-8 cannot represent it (RFC 8259, section 8.2).
    pub fn as_str(self) -> Result<Option<Cow<'a, str>>, serde_json::Error> {
        match self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            None => Ok(None),
            Some(plain) if !plain.contains('\\') => Ok(Some(plain.into())),
            Some(_) => serde_json::from_str(self.0).map(Some),
        }
    }
}

/// The values of these fields of a JSON object, in the order of `names`. `None` stands for a missing field. If a field occurs more than once,
/// the last one counts.
///
/// The whole document must be JSON (RFC 8259). Other fields are not decoded: their numbers may have any size.
///
/// ```
/// use mapper_sdk::json;
///
/// let [page, user] = json::fields(br#"{"id": 7, "page": "home"}"#, ["page", "user"])?;
/// assert_eq!(page.map(json::Value::text), Some(r#""home""#));
/// assert_eq!(user, None);
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// # Errors
/// If the bytes are not JSON or not an object. The message has the line and column.
pub fn fields<'a, const N: usize>(
    object: &'a [u8],
    names: [&str; N],
) -> Result<[Option<Value<'a>>; N], serde_json::Error> {
    match scan::fields(object, &names) {
        Some(fields) => Ok(fields),
        None => serde_fields::fields(object, &names),
    }
}

#[cfg(test)]
mod tests;
