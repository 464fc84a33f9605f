//! The positions of records that a batch has for others: a dead letter stands for the record that failed.

use std::ops::Range;

use crate::topic_table::TopicNames;

/// For each record of a batch, the position that the mapper gets, and its earlier failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The topics of the partition numbers.
    pub topics: TopicNames,
    /// Partition numbers, see [`topic_table`](crate::topic_table).
    pub partitions: Vec<i32>,
    pub offsets: Vec<i64>,
    /// How many times each record has failed before.
    pub failures: Vec<u32>,
}

impl Origins {
    pub fn new(topics: TopicNames) -> Self {
        Self { topics, partitions: Vec::new(), offsets: Vec::new(), failures: Vec::new() }
    }

    pub fn push(&mut self, (partition, offset): (i32, i64), failures: u32) {
        self.partitions.push(partition);
        self.offsets.push(offset);
        self.failures.push(failures);
    }

    pub(super) fn clear(&mut self) {
        self.partitions.clear();
        self.offsets.clear();
        self.failures.clear();
    }

    pub fn slice(&self, range: Range<usize>) -> Self {
        Self {
            topics: self.topics.clone(),
            partitions: self.partitions[range.clone()].to_vec(),
            offsets: self.offsets[range.clone()].to_vec(),
            failures: self.failures[range].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, NO_TIMESTAMP};
    use super::*;

    #[test]
    fn record_has_the_position_of_its_origin_and_keeps_its_own_for_the_loop() {
        let topics = TopicNames::new(["visits", "orders"]);
        let order = topics.number(1, 3).unwrap();
        let mut batch = Batch::new("");
        let mut origins = Origins::new(topics);
        for (sequence, (origin, failures)) in [((2, 70), 1), ((order, 5), 2), ((order, 4), 1)].into_iter().enumerate() {
            batch.push((0, sequence as i64), NO_TIMESTAMP, None, None, std::iter::empty());
            origins.push(origin, failures);
        }
        batch.origins = Some(Box::new(origins));
        let seen = |batch: &Batch| {
            let describe = |record: super::super::Record<'_>| {
                let place = (record.topic().to_owned(), record.partition(), record.offset());
                (place, record.position(), record.failures_before())
            };
            batch.records().map(describe).collect::<Vec<_>>()
        };
        let expected = [
            (("visits".to_owned(), 2, 70), (0, 0), Some(1)),
            (("orders".to_owned(), 3, 5), (0, 1), Some(2)),
            (("orders".to_owned(), 3, 4), (0, 2), Some(1)),
        ];
        assert_eq!(seen(&batch), expected);
        assert_eq!(seen(&batch.slice(1..3)), expected[1..]);
        assert_eq!((batch.run_of_one_topic(0..3), batch.run_of_one_topic(1..3)), (0..1, 1..3));
        let orders = batch.slice(1..3);
        assert_eq!((orders.topic(), &*orders.partitions_of_topic()), ("orders", &[3, 3][..]));
        assert_eq!(orders.offsets_of_topic(), [5, 4]);
        batch.clear();
        assert!(batch.is_empty() && batch.origins.unwrap().offsets.is_empty());
    }
}
