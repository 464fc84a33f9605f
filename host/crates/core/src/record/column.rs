//! Columns of byte strings.

use std::ops::Range;

use super::{BYTES, NULL};

/// A column of byte strings: item `i` is `bytes[ends[i-1]..ends[i]]`; `marks` is empty when all items are bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// The concatenated items.
    pub bytes: Vec<u8>,
    /// The end of each item.
    pub ends: Vec<u32>,
    /// [`BYTES`], [`NULL`] or [`KEEP`](super::KEEP) for each item; empty if all items are bytes.
    pub marks: Vec<u8>,
}

impl Column {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Keeps the allocated memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.marks.clear();
    }

    /// The bytes of an item; empty for a null.
    pub fn bytes_of(&self, index: usize) -> &[u8] {
        &self.bytes[span(&self.ends, index)]
    }

    pub fn mark(&self, index: usize) -> u8 {
        self.marks.get(index).copied().unwrap_or(BYTES)
    }

    /// The item, or `None` for a null.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        (self.mark(index) != NULL).then(|| self.bytes_of(index))
    }

    /// Adds an item; `None` is a null.
    pub fn push(&mut self, item: Option<&[u8]>) {
        self.push_marked(if item.is_some() { BYTES } else { NULL }, item.unwrap_or_default());
    }

    pub fn push_marked(&mut self, mark: u8, item: &[u8]) {
        if mark != BYTES && self.marks.is_empty() {
            self.marks.resize(self.ends.len(), BYTES);
        }
        if mark != BYTES || !self.marks.is_empty() {
            self.marks.push(mark);
        }
        self.bytes.extend_from_slice(item);
        self.push_end();
    }

    fn push_end(&mut self) {
        self.ends.push(u32::try_from(self.bytes.len()).expect("a batch is bounded far below 4 GiB"));
    }

    /// Ends an item whose bytes were appended to [`Column::bytes`] since the item before.
    pub fn end_item(&mut self) {
        if !self.marks.is_empty() {
            self.marks.push(BYTES);
        }
        self.push_end();
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let bytes = extent(&self.ends, range.clone());
        let marks = if self.marks.is_empty() { &[][..] } else { &self.marks[range.clone()] };
        Self { ends: rebase(&self.ends[range], bytes.start), bytes: self.bytes[bytes].to_vec(), marks: marks.to_vec() }
    }
}

/// The ends of a list after the first `start` bytes are removed.
pub(super) fn rebase(ends: &[u32], start: usize) -> Vec<u32> {
    ends.iter().map(|end| end - start as u32).collect()
}

/// The range of item `index` in a list of ends.
pub fn span(ends: &[u32], index: usize) -> Range<usize> {
    let start = index.checked_sub(1).map_or(0, |before| ends[before] as usize);
    start..ends[index] as usize
}

/// The range of some items in a list of ends.
pub(super) fn extent(ends: &[u32], items: Range<usize>) -> Range<usize> {
    if items.is_empty() { 0..0 } else { span(ends, items.start).start..span(ends, items.end - 1).end }
}
