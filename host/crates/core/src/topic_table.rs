//! Partition numbers: one integer for the partition of any input topic, so that the loop needs no topic names.
//!
//! The number of a partition of the first topic is the partition itself. Those of further topics have the index of the topic in the
//! higher bits. A table hands out the indexes; an index always stands for the same topic.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The bits of a partition within a number.
const PARTITION_BITS: u32 = 16;
/// The most partitions of a topic, if there are several topics.
const MAX_PARTITIONS: i32 = 1 << PARTITION_BITS;
/// The most topics of a table.
const MAX_TOPICS: usize = 1 << (i32::BITS - 1 - PARTITION_BITS);

/// The names of the input topics by index. It is cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicNames(Arc<[Arc<str>]>);

impl TopicNames {
    pub fn new(names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    pub fn one(topic: impl Into<Arc<str>>) -> Self {
        Self::new([topic])
    }

    /// Whether both are the same names in memory.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether each number is of the same topic.
    pub fn is_single(&self) -> bool {
        self.0.len() <= 1
    }

    /// The names by index.
    pub fn all(&self) -> &[Arc<str>] {
        &self.0
    }

    pub fn find(&self, topic: &str) -> Option<usize> {
        self.0.iter().position(|name| **name == *topic)
    }

    /// The index of the topic of a number.
    pub fn index(&self, number: i32) -> usize {
        if self.is_single() { 0 } else { (number >> PARTITION_BITS) as usize }
    }

    /// The topic of a number.
    pub fn topic(&self, number: i32) -> &str {
        self.0.get(self.index(number)).map_or("", |name| name)
    }

    /// The partition within its topic.
    pub fn partition(&self, number: i32) -> i32 {
        if self.is_single() { number } else { number & (MAX_PARTITIONS - 1) }
    }

    /// The number of a partition; `None` if there are several topics and this one has too many partitions.
    pub fn number(&self, index: usize, partition: i32) -> Option<i32> {
        if self.is_single() {
            return Some(partition);
        }
        (partition < MAX_PARTITIONS).then_some((index as i32) << PARTITION_BITS | partition)
    }

    /// All numbers of a topic.
    pub fn numbers(&self, index: usize) -> Range<i32> {
        if self.is_single() {
            return 0..i32::MAX;
        }
        let first = (index as i32) << PARTITION_BITS;
        first..first.saturating_add(MAX_PARTITIONS)
    }

    /// The partitions of numbers that are all of one topic.
    pub fn partitions<'a>(&self, numbers: &'a [i32]) -> Cow<'a, [i32]> {
        match numbers.first() {
            Some(first) if self.index(*first) > 0 => {
                Cow::Owned(numbers.iter().map(|number| self.partition(*number)).collect())
            }
            _ => Cow::Borrowed(numbers),
        }
    }

    /// How many of these numbers, from the first one on, are of one topic.
    pub fn run_of_one_topic(&self, numbers: &[i32]) -> usize {
        let Some(first) = numbers.first().filter(|_| !self.is_single()) else { return numbers.len() };
        let index = self.index(*first);
        numbers.iter().position(|number| self.index(*number) != index).unwrap_or(numbers.len())
    }

    /// A partition for a log line or an error: with its topic, if there are several.
    pub fn describe(&self, number: i32) -> String {
        match self.is_single() {
            true => format!("partition {number}"),
            false => format!("topic {}, partition {}", self.topic(number), self.partition(number)),
        }
    }
}

/// Keeps the indexes of topics beyond the process.
pub trait TopicStore: fmt::Debug + Send + Sync {
    /// Adds a topic, unless it is known. Returns all names by index, which may include those of other processes.
    ///
    /// # Errors
    /// Why it can't be kept.
    fn register(&self, topic: &str) -> Result<Vec<String>, String>;
}

/// The input topics that a pipeline has seen. All of its workers share it.
#[derive(Debug)]
pub struct TopicTable {
    names: Mutex<TopicNames>,
    store: Option<Box<dyn TopicStore>>,
}

impl TopicTable {
    /// A table with these topics. It lasts as long as the process, unless there is a store.
    pub fn new(names: TopicNames, store: Option<Box<dyn TopicStore>>) -> Self {
        Self { names: Mutex::new(names), store }
    }

    /// A table of one topic.
    pub fn one(topic: impl Into<Arc<str>>) -> Self {
        Self::new(TopicNames::one(topic), None)
    }

    fn lock(&self) -> MutexGuard<'_, TopicNames> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics so far.
    pub fn names(&self) -> TopicNames {
        self.lock().clone()
    }

    /// Adds a topic, unless it is known. Returns its index.
    ///
    /// # Errors
    /// If there are too many topics, or the store fails.
    pub fn register(&self, topic: &str) -> Result<usize, String> {
        let mut names = self.lock();
        if let Some(index) = names.find(topic) {
            return Ok(index);
        }
        let all = match &self.store {
            Some(store) => store.register(topic)?,
            None => names.all().iter().map(|name| name.to_string()).chain([topic.to_owned()]).collect(),
        };
        if all.len() > MAX_TOPICS {
            return Err(format!("a pipeline can read {MAX_TOPICS} input topics at most. Give a narrower pattern"));
        }
        *names = TopicNames::new(all);
        names.find(topic).ok_or_else(|| "the store of topics does not return the topic".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_single_topic_is_its_partition() {
        let names = TopicNames::one("visits");
        for partition in [0, 7, 1 << 20, i32::MAX] {
            assert_eq!(names.number(0, partition), Some(partition));
            assert_eq!((names.topic(partition), names.partition(partition)), ("visits", partition));
        }
        assert_eq!(names.partitions(&[3, 1]), Cow::Borrowed(&[3, 1]));
        assert_eq!(names.run_of_one_topic(&[3, 1 << 20]), 2);
        assert_eq!(names.describe(7), "partition 7");
    }

    #[test]
    fn number_names_its_topic_and_partition() {
        let names = TopicNames::new(["visits", "orders", "clicks"]);
        let mut seen = std::collections::BTreeSet::new();
        for (index, topic) in ["visits", "orders", "clicks"].into_iter().enumerate() {
            for partition in [0, 1, MAX_PARTITIONS - 1] {
                let number = names.number(index, partition).unwrap();
                assert_eq!((names.topic(number), names.partition(number)), (topic, partition));
                assert!(names.numbers(index).contains(&number) && seen.insert(number));
            }
        }
        assert_eq!(names.number(0, 5), Some(5), "the numbers of the first topic stay as they were when it was alone");
        assert_eq!(names.number(1, MAX_PARTITIONS), None);
        assert_eq!(names.describe(names.number(2, 4).unwrap()), "topic clicks, partition 4");
    }

    #[test]
    fn numbers_are_grouped_by_topic() {
        let names = TopicNames::new(["visits", "orders"]);
        let order = |partition| names.number(1, partition).unwrap();
        assert_eq!(names.run_of_one_topic(&[0, 1, order(0), 0]), 2);
        assert_eq!(names.run_of_one_topic(&[order(0), order(3)]), 2);
        assert_eq!(names.partitions(&[order(0), order(3)]), Cow::<[i32]>::Owned(vec![0, 3]));
    }

    #[test]
    fn table_keeps_the_index_of_a_topic() {
        let table = TopicTable::one("visits");
        assert_eq!(
            (table.register("orders"), table.register("visits"), table.register("orders")),
            (Ok(1), Ok(0), Ok(1))
        );
        let before = table.names();
        assert_eq!(table.register("clicks"), Ok(2));
        let number = before.number(1, 3).unwrap();
        assert_eq!(table.names().describe(number), "topic orders, partition 3");
    }

    #[test]
    fn table_takes_over_the_topics_of_other_processes() {
        #[derive(Debug)]
        struct Shared;
        impl TopicStore for Shared {
            fn register(&self, topic: &str) -> Result<Vec<String>, String> {
                Ok(vec!["of-another".to_owned(), topic.to_owned()])
            }
        }
        let table = TopicTable::new(TopicNames::new(Vec::<String>::new()), Some(Box::new(Shared)));
        assert_eq!(table.register("orders"), Ok(1));
        assert_eq!(table.names().find("of-another"), Some(0));
    }
}
