//! Why a value does not fit its schema, and where in the value.

use std::borrow::Cow;
use std::fmt;

/// Longer names of a path are cut: a path is shown in logs and in headers of dead letters.
const MAX_NAME_CHARS: usize = 64;
/// A deeper path shows its start only.
const MAX_SEGMENTS: usize = 32;

/// A step from a value to a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Field(Box<str>),
    Key(Box<str>),
    Index(usize),
}

/// A value that can't be decoded or encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", PathPrefix(self))]
pub struct ValueError {
    reason: Cow<'static, str>,
    /// From the inner part to the outer: functions add their segment when they return the error.
    segments: Vec<Segment>,
}

/// Boxed: the result of a successful call stays small.
pub(crate) type Failure = Box<ValueError>;

impl ValueError {
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Failure {
        Box::new(Self { reason: reason.into(), segments: Vec::new() })
    }

    /// Why, without the path.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The path of the part that is wrong, such as `visit.items[3].price`; empty for the whole value.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.segments.iter().rev().take(MAX_SEGMENTS) {
            match segment {
                Segment::Field(name) if path.is_empty() => path.push_str(name),
                Segment::Field(name) => path.extend([".", name]),
                Segment::Key(key) => path.push_str(&format!("[{key:?}]")),
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        if self.segments.len() > MAX_SEGMENTS {
            path.push('…');
        }
        path
    }

    pub(crate) fn in_field(mut self: Box<Self>, name: &str) -> Box<Self> {
        self.segments.push(Segment::Field(shortened(name)));
        self
    }

    pub(crate) fn in_key(mut self: Box<Self>, key: &str) -> Box<Self> {
        self.segments.push(Segment::Key(shortened(key)));
        self
    }

    pub(crate) fn in_index(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.segments.push(Segment::Index(index));
        self
    }
}

struct PathPrefix<'a>(&'a ValueError);

impl fmt::Display for PathPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.segments.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0.path()) }
    }
}

/// A text for a message: cut after some characters.
pub(crate) fn shortened(text: &str) -> Box<str> {
    match text.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// A schema that can't be used: of an unknown form, too large, or with references that are missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(Cow<'static, str>);

impl SchemaError {
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_has_fields_keys_and_indexes_from_the_outside() {
        let error = ValueError::new("expected a number").in_field("price").in_index(3).in_field("items");
        assert_eq!(
            error.in_key("a b").in_field("visit").to_string(),
            "visit[\"a b\"].items[3].price: expected a number"
        );
        assert_eq!(ValueError::new("the value ends early").to_string(), "the value ends early");
    }

    #[test]
    fn path_of_long_names_and_many_levels_is_bounded() {
        let mut error = ValueError::new("wrong").in_key(&"é".repeat(10_000));
        for _ in 0..100 {
            error = error.in_field(&"x".repeat(1000));
        }
        assert!(error.path().chars().count() <= MAX_SEGMENTS * (MAX_NAME_CHARS + 4), "{}", error.path());
    }
}
