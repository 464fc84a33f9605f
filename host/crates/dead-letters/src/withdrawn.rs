//! Versions that a host withdrew because they failed their probation, and which letters are theirs.

use std::collections::HashMap;
use std::ops::Range;

use mapper_core::dead_letter::DeadLetter;

/// The versions by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WithdrawnVersions(HashMap<String, Withdrawn>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Withdrawn {
    /// Whether the version was also active at another time, in which it did not fail its probation.
    was_kept: bool,
    /// What it mapped before it was withdrawn.
    spans: Vec<Span>,
}

/// Offsets of an input partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub topic: String,
    pub partition: i32,
    pub offsets: Range<i64>,
}

impl WithdrawnVersions {
    /// Adds a time in which a version failed its probation.
    pub fn add(&mut self, digest: &str, spans: impl IntoIterator<Item = Span>) {
        self.0.entry(digest.to_owned()).or_default().spans.extend(spans);
    }

    /// A time in which a version did not fail its probation. Call it after all versions are added.
    pub fn keep(&mut self, digest: &str) {
        if let Some(version) = self.0.get_mut(digest) {
            version.was_kept = true;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a withdrawn version wrote a letter. If the version was also kept, the offset of the record decides.
    pub fn contains(&self, letter: &DeadLetter<'_>) -> bool {
        let Some(version) = letter.plugin.and_then(|plugin| self.0.get(plugin.digest)) else { return false };
        let at = letter.source_or_self();
        let is_span = |span: &Span| {
            (&*span.topic, span.partition) == (at.topic, at.partition) && span.offsets.contains(&at.offset)
        };
        !version.was_kept || version.spans.iter().any(is_span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::tests::{Sample, batch};

    fn selected(versions: &WithdrawnVersions) -> Vec<i64> {
        let sample = |source, plugin| Sample { source, plugin, ..Sample::default() };
        let samples =
            [sample(4, "m 2.0.0 bad"), sample(5, "m 2.0.0 bad"), sample(6, "m 2.0.0 bad"), sample(7, "m 1.0.0 good")];
        let batch = batch(&samples);
        let letters = batch.records().map(|record| DeadLetter::read(record).unwrap());
        letters.filter(|letter| versions.contains(letter)).map(|letter| letter.source_or_self().offset).collect()
    }

    #[test]
    fn letters_of_a_version_that_was_also_kept_are_selected_by_their_offsets() {
        let span = |partition, offsets| Span { topic: "visits".to_owned(), partition, offsets };
        let mut versions = WithdrawnVersions::default();
        assert!(selected(&versions).is_empty() && versions.is_empty());
        versions.add("bad", [span(0, 5..6), span(1, 0..100)]);
        assert_eq!(selected(&versions), [4, 5, 6]);
        versions.keep("bad");
        versions.keep("good");
        assert_eq!(selected(&versions), [5]);
        versions.add("bad", [span(0, 6..7), Span { topic: "others".to_owned(), partition: 0, offsets: 0..100 }]);
        assert_eq!(selected(&versions), [5, 6]);
    }
}
