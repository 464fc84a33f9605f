//! A range of the records that failed.

use mapper_core::dead_letter::RecordPosition;

/// A range of records of an input partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRange {
    pub topic: String,
    pub partition: i32,
    pub from: i64,
    /// The offset after the last one; without it, the range has no end.
    pub to: Option<i64>,
}

impl SourceRange {
    /// Parses `TOPIC/PARTITION@FROM..TO`. `FROM..` has no end, and a single offset is a range of one record.
    pub fn parse(text: &str) -> Option<Self> {
        // The name of a topic can have two dots.
        let (partition, offsets) = text.rsplit_once('@')?;
        let (from, end) = offsets.split_once("..").map_or((offsets, None), |(from, end)| (from, Some(end)));
        let first = format!("{partition}@{from}");
        let RecordPosition { topic, partition, offset: from } = RecordPosition::parse(&first)?;
        let to = match end {
            Some("") => None,
            Some(end) => Some(end.parse().ok()?),
            None => Some(from.checked_add(1)?),
        };
        to.is_none_or(|to| to > from).then(|| Self { topic: topic.to_owned(), partition, from, to })
    }

    pub fn contains(&self, position: RecordPosition<'_>) -> bool {
        (&*self.topic, self.partition) == (position.topic, position.partition)
            && position.offset >= self.from
            && self.to.is_none_or(|to| position.offset < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_has_a_first_offset_and_an_end_that_is_not_part_of_it() {
        let contains = |range: &str, offset: i64| {
            SourceRange::parse(range).unwrap().contains(RecordPosition { topic: "a..b", partition: 3, offset })
        };
        let around = |range| [4, 5, 6, 7].map(|offset| contains(range, offset));
        assert_eq!(around("a..b/3@5..7"), [false, true, true, false]);
        assert_eq!(around("a..b/3@5.."), [false, true, true, true]);
        assert_eq!(around("a..b/3@5"), [false, true, false, false]);
        assert_eq!(around("a..b/2@5.."), [false; 4]);
        assert_eq!(around("a/3@5.."), [false; 4]);
    }

    #[test]
    fn range_without_a_record_is_not_allowed() {
        for text in [
            "visits/0",
            "v/0@5..5",
            "v/0@5..4",
            "v/0@..5",
            "v/0@1..x",
            "v/0@-1..4",
            "/0@1..",
            "v/0@9223372036854775807",
        ] {
            assert_eq!(SourceRange::parse(text), None, "{text}");
        }
    }
}
