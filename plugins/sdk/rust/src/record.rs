//! The input record as an author sees it.

use std::ops::Range;

use crate::columns;
use crate::guest::bindings::exports::mapper_host::mapper::batch_mapper::HeaderTable;

/// One record of the input topic.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The topic it was read from.
    pub topic: &'a str,
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset in that partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01T00:00:00Z, if the record carries a timestamp.
    pub timestamp_ms: Option<i64>,
    /// `None` is Kafka's null, which is not the same as no bytes.
    pub key: Option<&'a [u8]>,
    /// `None` is Kafka's null: a tombstone.
    pub value: Option<&'a [u8]>,
    /// In the order in which the producer wrote them; names may repeat.
    pub headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// A record for unit tests: this value, no key, no headers, offset 0 of partition 0 of the topic `test`.
    pub fn of_value(value: &'a [u8]) -> Self {
        let headers = Headers::none();
        Self { topic: "test", partition: 0, offset: 0, timestamp_ms: None, key: None, value: Some(value), headers }
    }
}

/// One header; a value of `None` is Kafka's null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
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

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let (table, range) = (self.table, self.first..self.end);
        table.into_iter().flat_map(move |table| range.clone().map(|index| columns::header(table, index)))
    }

    /// The last header of that name, which is the one that counts where Kafka's clients ask for one.
    pub fn last(&self, name: &str) -> Option<Header<'a>> {
        self.iter().filter(|header| header.name == name).last()
    }
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
