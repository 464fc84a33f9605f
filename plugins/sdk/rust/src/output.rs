//! The outputs of a mapper.

use serde::Serialize;

use crate::columns::{Content, OutputColumns, OwnHeader};

/// A record to produce. A part that is not set is that of the input record: value, key, headers, timestamp. Without a topic it goes to the
/// default output topic.
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

    /// An output that equals the input record.
    pub fn keep() -> Self {
        Self::default()
    }

    /// An output whose value is Kafka's null: a [tombstone](https://kafka.apache.org/documentation/#compaction).
    pub fn tombstone() -> Self {
        Self { value: Content::Null, ..Self::default() }
    }

    /// An output whose value is this value as JSON.
    ///
    /// # Errors
    /// If the value has no JSON form, such as a map whose keys are not strings.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::new(serde_json::to_vec(value)?))
    }

    /// Sets the key. `None` is Kafka's null.
    pub fn key(mut self, key: Option<impl Into<Vec<u8>>>) -> Self {
        self.key = key.map_or(Content::Null, |key| Content::Bytes(key.into()));
        self
    }

    /// Sets the topic. It must be one that the host was started with (`--output-topic`, `--extra-topic`); any other fails the record with
    /// `invalid-output`.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Removes all headers, those of the input record, too. [`header`](Self::header) adds new ones.
    pub fn no_headers(mut self) -> Self {
        self.headers = Some(Vec::new());
        self
    }

    /// Adds a header. The first call removes the headers of the input record. A value of `None` is Kafka's null.
    pub fn header(mut self, name: impl Into<String>, value: Option<impl Into<Vec<u8>>>) -> Self {
        self.headers.get_or_insert_default().push((name.into(), value.map(Into::into)));
        self
    }

    /// Sets the timestamp, in milliseconds since 1970-01-01T00:00:00Z. Kafka has no negative timestamps: -1 means the timestamp of the
    /// input record, and any other negative value fails the record with `invalid-output`.
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }
}

/// An output whose value is this value as JSON. It is written into the batch without an intermediate copy. Key, headers, timestamp and
/// topic are those of `Output::keep()`.
///
/// # Panics
/// The mapper panics if the value has no JSON form, such as a map whose keys are not strings. Use [`Output::json`] to get an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// A type that the function of a mapper may return.
pub trait IntoOutputs {
    /// Appends the outputs of one record to those of the batch.
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
        // A value without a JSON form is an error in the mapper and not in the record.
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
