//! What a mapper returns.

use serde::Serialize;

use crate::columns::{Content, OutputColumns, OwnHeader};

/// One record to produce. What it doesn't set is as in the input record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    pub(crate) topic: Option<String>,
    pub(crate) key: Content,
    pub(crate) value: Content,
    pub(crate) headers: Option<Vec<OwnHeader>>,
    pub(crate) timestamp_ms: Option<i64>,
}

impl Output {
    /// An output with this value.
    pub fn new(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Content::Bytes(value.into()), ..Self::default() }
    }

    /// The input record as it is.
    pub fn keep() -> Self {
        Self::default()
    }

    /// A tombstone: a null value.
    pub fn tombstone() -> Self {
        Self { value: Content::Null, ..Self::default() }
    }

    /// An output whose value is this as JSON.
    ///
    /// # Errors
    /// When it can't be written as JSON, as a map whose keys are not text.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::new(serde_json::to_vec(value)?))
    }

    /// Sets the key; `None` is Kafka's null.
    pub fn key(mut self, key: Option<impl Into<Vec<u8>>>) -> Self {
        self.key = key.map_or(Content::Null, |key| Content::Bytes(key.into()));
        self
    }

    /// Sets the topic: one that the host was started with.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Drops the headers of the input; those added from here on are the only ones.
    pub fn no_headers(mut self) -> Self {
        self.headers = Some(Vec::new());
        self
    }

    /// Adds a header. The first call replaces the headers of the input. A value of `None` is Kafka's null.
    pub fn header(mut self, name: impl Into<String>, value: Option<impl Into<Vec<u8>>>) -> Self {
        self.headers.get_or_insert_default().push((name.into(), value.map(Into::into)));
        self
    }

    /// Sets the timestamp, in milliseconds since 1970-01-01T00:00:00Z.
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }
}

/// An output whose value is this as JSON, written straight to where the host reads it; all else is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// What a mapper's function may return.
pub trait IntoOutputs {
    /// Writes the outputs of one record.
    fn write(self, outputs: &mut OutputColumns);
}

impl IntoOutputs for () {
    fn write(self, _: &mut OutputColumns) {}
}

impl IntoOutputs for Output {
    fn write(self, outputs: &mut OutputColumns) {
        outputs.push_output(&self);
    }
}

impl<T: Serialize> IntoOutputs for Json<T> {
    fn write(self, outputs: &mut OutputColumns) {
        // As for slices of wrong bounds: a value that has no JSON form is a mistake in the mapper, not in the record.
        outputs.push_value(|json| serde_json::to_writer(json, &self.0).expect("a value that can be written as JSON"));
    }
}

impl<T: IntoOutputs> IntoOutputs for Option<T> {
    fn write(self, outputs: &mut OutputColumns) {
        if let Some(output) = self {
            output.write(outputs);
        }
    }
}

impl<T: IntoOutputs> IntoOutputs for Vec<T> {
    fn write(self, outputs: &mut OutputColumns) {
        self.into_iter().for_each(|output| output.write(outputs));
    }
}

impl<T: IntoOutputs, const N: usize> IntoOutputs for [T; N] {
    fn write(self, outputs: &mut OutputColumns) {
        self.into_iter().for_each(|output| output.write(outputs));
    }
}
