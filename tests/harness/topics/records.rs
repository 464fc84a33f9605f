//! Records that a test reads and produces.

use std::fmt;

/// A record of a topic. Its Debug shows bytes as escaped text.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset in that partition.
    pub offset: i64,
    /// The key; None is a null key, which is not an empty one.
    pub key: Option<Vec<u8>>,
    /// The value; None is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers in order; a name may occur more than once.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970-01-01T00:00Z.
    pub timestamp: Option<i64>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Option<Vec<u8>>| match bytes {
            Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
            None => "null".to_owned(),
        };
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
        let (key, value, headers) = (text(&self.key), text(&self.value), headers.join(", "));
        write!(f, "{}@{} {key} = {value} [{headers}] at {:?}", self.partition, self.offset, self.timestamp)
    }
}

/// A record to produce; a field with its default is null, empty, or chosen by the producer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewRecord {
    /// None: by the murmur2 hash of the key, as Java clients do, or any without a key.
    pub partition: Option<i32>,
    /// The key; None is a null key.
    pub key: Option<Vec<u8>>,
    /// The value; None is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970-01-01T00:00Z; None is now.
    pub timestamp: Option<i64>,
}

impl NewRecord {
    /// A record with only this value.
    pub fn value(value: impl Into<Vec<u8>>) -> NewRecord {
        NewRecord { value: Some(value.into()), ..NewRecord::default() }
    }

    /// A record with only a null value.
    pub fn tombstone() -> NewRecord {
        NewRecord::default()
    }

    /// With this key.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> NewRecord {
        self.key = Some(key.into());
        self
    }

    /// To this partition.
    pub fn partition(mut self, partition: i32) -> NewRecord {
        self.partition = Some(partition);
        self
    }

    /// With this header after those it has.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> NewRecord {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    /// With this header of a null value after those it has.
    pub fn null_header(mut self, name: &str) -> NewRecord {
        self.headers.push((name.to_owned(), None));
        self
    }

    /// At this time, in milliseconds since 1970-01-01T00:00Z.
    pub fn timestamp(mut self, timestamp_ms: i64) -> NewRecord {
        self.timestamp = Some(timestamp_ms);
        self
    }
}
