//! The records of a dead-letter topic that are no letters.

/// The most positions that are kept.
const MAX_POSITIONS: usize = 50_000;

#[derive(Debug, Default)]
pub(super) struct ForeignRecords {
    positions: Vec<(i32, i64)>,
    has_more: bool,
}

impl ForeignRecords {
    pub(super) fn add(&mut self, partition: i32, offset: i64) {
        if self.positions.len() < MAX_POSITIONS {
            self.positions.push((partition, offset));
        } else {
            self.has_more = true;
        }
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(i32, i64) -> bool) {
        self.positions.retain(|(partition, offset)| keeps(*partition, *offset));
    }

    /// The number of records; `None` if there are too many to know which of them were removed.
    pub(super) fn count(&self) -> Option<u64> {
        (!self.has_more).then_some(self.positions.len() as u64)
    }
}
