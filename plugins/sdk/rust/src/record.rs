//! The input record.

use std::ops::Range;

use crate::columns;
use crate::guest::bindings::exports::mapper_host::mapper::batch_mapper::HeaderTable;

/// One record of the input topic.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The topic that the host read the record from.
    pub topic: &'a str,
    /// The partition that the host read the record from.
    pub partition: i32,
    /// The offset in this partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01T00:00:00Z, or `None` if the record has no timestamp.
    pub timestamp_ms: Option<i64>,
    /// `None` is Kafka's null. It differs from an empty key.
    pub key: Option<&'a [u8]>,
    /// `None` is Kafka's null: a [tombstone](https://kafka.apache.org/documentation/#compaction).
    pub value: Option<&'a [u8]>,
    /// In the order in which the producer wrote them. A name may occur more than once.
    pub headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// A record for unit tests. It has this value, no key, no headers and no timestamp, at offset 0 of partition 0 of the topic `test`.
    pub fn of_value(value: &'a [u8]) -> Self {
        let headers = Headers::none();
        Self { topic: "test", partition: 0, offset: 0, timestamp_ms: None, key: None, value: Some(value), headers }
    }
}

/// A header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name. The host puts U+FFFD in the place of bytes that are not UTF-8.
    pub name: &'a str,
    /// The value. `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    table: Option<&'a HeaderTable>,
    first: usize,
    end: usize,
}

impl<'a> Headers<'a> {
    pub(crate) fn none() -> Self {
        Self { table: None, first: 0, end: 0 }
    }

    pub(crate) fn columns(table: &'a HeaderTable, range: Range<usize>) -> Self {
        Self { table: Some(table), first: range.start, end: range.end }
    }

    /// All headers, in the order in which the producer wrote them.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let (table, range) = (self.table, self.first..self.end);
        table.into_iter().flat_map(move |table| range.clone().map(|index| columns::header(table, index)))
    }

    /// The last header with this name, as `Headers.lastHeader` of Kafka's Java client returns it. `None` if there is none.
    pub fn last(&self, name: &str) -> Option<Header<'a>> {
        self.iter().filter(|header| header.name == name).last()
    }
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
