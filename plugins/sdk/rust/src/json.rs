//! Picks fields of a JSON object, and makes a new object of them: what most mappers do, without reading all the rest.

mod object;
mod scan;
mod thorough;

use std::borrow::Cow;

pub use object::{Member, Object};

/// A JSON value as it stands in its document, of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// Its JSON text, quotes and all.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// What it says, or `None` if it is no string.
    ///
    /// # Errors
    /// When an escape in it is of half a character, as in `"\ud800"`: no text can hold that.
    pub fn as_str(self) -> Result<Option<Cow<'a, str>>, serde_json::Error> {
        match self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            None => Ok(None),
            Some(plain) if !plain.contains('\\') => Ok(Some(plain.into())),
            Some(_) => serde_json::from_str(self.0).map(Some),
        }
    }
}

/// The values of these fields of a JSON object, in the order of their names; `None` for one that isn't there. Of a field
/// that is there more than once, the last counts.
///
/// The whole document is checked to be JSON (RFC 8259), but the other fields are not read: neither are their numbers
/// bounded, nor their strings decoded.
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
/// When it is not JSON, or no object, with the line and column.
pub fn fields<'a, const N: usize>(
    object: &'a [u8],
    names: [&str; N],
) -> Result<[Option<Value<'a>>; N], serde_json::Error> {
    match scan::fields(object, &names) {
        Some(fields) => Ok(fields),
        None => thorough::fields(object, &names),
    }
}

#[cfg(test)]
mod tests;
