//! Selects dead letters.

use chrono::{DateTime, Utc};

use mapper_core::dead_letter::{DeadLetter, PluginName, RecordPosition};

use crate::source_range::SourceRange;
use crate::withdrawn::WithdrawnVersions;

/// Which dead letters are meant. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The beginning of a fingerprint.
    pub group: Option<String>,
    /// The position of one letter, or of the record that failed.
    pub position: Option<Position>,
    /// The records that failed.
    pub source: Option<SourceRange>,
    /// Letters that failed at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Letters that failed before this time.
    pub until: Option<DateTime<Utc>>,
    /// The kind of failure.
    pub kind: Option<String>,
    /// The version of the plugin: its version number, the beginning of its digest, or `NAME@VERSION`.
    pub version: Option<String>,
    /// The key of the record.
    pub key: Option<Vec<u8>>,
    /// A text in the message or in the value of the record.
    pub grep: Option<String>,
    /// Versions that failed their probation.
    pub withdrawn: Option<WithdrawnVersions>,
}

/// The position of a record, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl Position {
    /// Parses `TOPIC/PARTITION@OFFSET`.
    pub fn parse(text: &str) -> Option<Self> {
        RecordPosition::parse(text).map(Self::from)
    }

    pub fn is(&self, other: RecordPosition<'_>) -> bool {
        (&*self.topic, self.partition, self.offset) == (other.topic, other.partition, other.offset)
    }
}

impl From<RecordPosition<'_>> for Position {
    fn from(position: RecordPosition<'_>) -> Self {
        let RecordPosition { topic, partition, offset } = position;
        Self { topic: topic.to_owned(), partition, offset }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

impl Selection {
    /// Whether a letter is meant.
    pub fn contains(&self, letter: &DeadLetter<'_>) -> bool {
        let Self { group, position, source, since, until, kind, version, key, grep, withdrawn } = self;
        let is_group = |prefix: &String| letter.fingerprint.starts_with(prefix.as_str());
        let is_position =
            |position: &Position| position.is(letter.position()) || letter.source.is_some_and(|at| position.is(at));
        // In the order of their costs.
        group.as_ref().is_none_or(is_group)
            && kind.as_ref().is_none_or(|kind| *letter.kind == **kind)
            && position.as_ref().is_none_or(is_position)
            && source.as_ref().is_none_or(|range| letter.source.is_some_and(|at| range.contains(at)))
            && version.as_ref().is_none_or(|version| letter.plugin.is_some_and(|plugin| is_version(plugin, version)))
            && withdrawn.as_ref().is_none_or(|withdrawn| withdrawn.contains(letter))
            && key.as_ref().is_none_or(|key| letter.key() == Some(key))
            && self.contains_time(letter, *since, *until)
            && grep.as_ref().is_none_or(|text| has_text(letter, text))
    }

    /// Whether it selects letters by more than their groups, versions, times and failed records.
    pub fn needs_content(&self) -> bool {
        self.position.is_some() || self.key.is_some() || self.grep.is_some() || self.withdrawn.is_some()
    }

    fn contains_time(
        &self,
        letter: &DeadLetter<'_>,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> bool {
        if since.is_none() && until.is_none() {
            return true;
        }
        let Some(failed_at) = letter.failed_at() else { return false };
        since.is_none_or(|since| failed_at >= since) && until.is_none_or(|until| failed_at < until)
    }
}

/// Whether `version` means a version of a plugin.
pub(crate) fn is_version(plugin: PluginName<'_>, version: &str) -> bool {
    let is_named =
        || version.rsplit_once('@').is_some_and(|(name, version)| (plugin.name, plugin.version) == (name, version));
    plugin.version == version || (version.len() >= 4 && plugin.digest.starts_with(version)) || is_named()
}

fn has_text(letter: &DeadLetter<'_>, text: &str) -> bool {
    if letter.message().contains(text) {
        return true;
    }
    let value = letter.input().ok().and_then(|input| input.value).unwrap_or_default();
    value.windows(text.len().max(1)).any(|part| part == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::tests::{Sample, batch};

    fn selected(selection: &Selection) -> Vec<usize> {
        let samples = [
            Sample { source: 10, key: Some("a"), message: "no page", ..Sample::default() },
            Sample {
                source: 11,
                kind: "trap",
                fingerprint: "bbbb000000000000",
                plugin: "m 2.0.0 beef01",
                ..Sample::default()
            },
            Sample { source: 12, seconds: 60, value: "{\"page\": \"home\"}", ..Sample::default() },
        ];
        let batch = batch(&samples);
        let letters: Vec<_> = batch.records().map(|record| DeadLetter::read(record).unwrap()).collect();
        (0..letters.len()).filter(|index| selection.contains(&letters[*index])).collect()
    }

    #[test]
    fn each_condition_selects_the_letters_that_meet_it() {
        let text = |text: &str| Some(text.to_owned());
        let at = |seconds: i64| DateTime::from_timestamp(1_705_119_710 + seconds, 0);
        let position = |text| Position::parse(text);
        let source = |text| Some(SourceRange::parse(text).unwrap());
        for (selection, expected) in [
            (Selection::default(), &[0, 1, 2][..]),
            (Selection { group: text("bbbb"), ..Selection::default() }, &[1]),
            (Selection { kind: text("trap"), ..Selection::default() }, &[1]),
            (Selection { version: text("2.0.0"), ..Selection::default() }, &[1]),
            (Selection { version: text("m@2.0.0"), ..Selection::default() }, &[1]),
            (Selection { version: text("beef"), ..Selection::default() }, &[1]),
            (Selection { version: text("bee"), ..Selection::default() }, &[]),
            (Selection { key: Some(b"a".to_vec()), ..Selection::default() }, &[0]),
            (Selection { position: position("visits/0@12"), ..Selection::default() }, &[2]),
            (Selection { position: position("visits_dlq/0@0"), ..Selection::default() }, &[0]),
            (Selection { source: source("visits/0@11..13"), ..Selection::default() }, &[1, 2]),
            (Selection { source: source("visits/0@11.."), ..Selection::default() }, &[1, 2]),
            (Selection { source: source("visits/0@11"), ..Selection::default() }, &[1]),
            (Selection { source: source("visits/1@0.."), ..Selection::default() }, &[]),
            (Selection { source: source("other/0@0.."), ..Selection::default() }, &[]),
            (Selection { since: at(1), ..Selection::default() }, &[2]),
            (Selection { until: at(1), ..Selection::default() }, &[0, 1]),
            (Selection { grep: text("home"), ..Selection::default() }, &[2]),
            (Selection { grep: text("no page"), ..Selection::default() }, &[0]),
            (Selection { grep: text(""), ..Selection::default() }, &[0, 1, 2]),
            (Selection { kind: text("trap"), key: Some(b"a".to_vec()), ..Selection::default() }, &[]),
        ] {
            assert_eq!(selected(&selection), expected, "{selection:?}");
        }
    }
}
