//! The statistics of a group of dead letters.

use chrono::{DateTime, Utc};

use super::names::{LetterFacts, NO_PARTITION, NO_VERSION};

/// The number of first and of last places of a group.
const SAMPLES: usize = 3;
/// The most versions of a group.
const MAX_VERSIONS: usize = 20;
/// The intervals of a trend: the hours of a day.
pub const INTERVALS: usize = 24;
pub const INTERVAL_SECONDS: u64 = 3_600;
const INTERVAL_MS: i64 = INTERVAL_SECONDS as i64 * 1000;

/// The time that the trends of groups cover: whole hours, of which the last one has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrendWindow {
    from_ms: i64,
}

impl TrendWindow {
    pub fn ending_at(now: DateTime<Utc>) -> Self {
        let hour = now.timestamp_millis().div_euclid(INTERVAL_MS);
        Self { from_ms: (hour + 1 - INTERVALS as i64) * INTERVAL_MS }
    }

    /// The beginning of the first interval.
    pub fn from(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.from_ms).unwrap_or_default()
    }

    fn interval(self, at_ms: i64) -> Option<usize> {
        let interval = at_ms.checked_sub(self.from_ms)?.div_euclid(INTERVAL_MS);
        usize::try_from(interval).ok().filter(|interval| *interval < INTERVALS)
    }
}

/// Where a letter is, in the order of the times of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// In milliseconds since 1970. Unknown times come first.
    pub failed_ms: Option<i64>,
    pub partition: i32,
    pub offset: i64,
}

/// Letters with the same fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStats {
    pub kind: String,
    /// The message of a letter.
    pub message: String,
    pub count: u64,
    /// When the first and the last letter failed, in milliseconds since 1970.
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
    /// The highest number of failures of a record.
    pub max_attempt: u32,
    /// The letters that show that a resolved group fails again.
    pub regressions: u64,
    /// The number of letters of each interval of a [`TrendWindow`].
    pub trend: [u64; INTERVALS],
    /// The number of letters of each version.
    versions: Vec<(u16, u64)>,
    /// The earliest letters, in order.
    first: Vec<Place>,
    /// The latest letters behind the first ones, in order.
    last: Vec<Place>,
    /// For each partition of the failed records, the first and the last offset.
    spans: Vec<(u32, (i64, i64))>,
}

impl GroupStats {
    pub fn new(kind: &str, message: String) -> Self {
        Self {
            kind: kind.to_owned(),
            message,
            count: 0,
            first_ms: None,
            last_ms: None,
            max_attempt: 0,
            regressions: 0,
            trend: [0; INTERVALS],
            versions: Vec::new(),
            first: Vec::new(),
            last: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Adds a letter. Returns whether it is the earliest one so far.
    pub fn add(&mut self, facts: &LetterFacts, window: TrendWindow) -> bool {
        self.count += 1;
        self.max_attempt = self.max_attempt.max(facts.attempt);
        if let Some(failed_ms) = facts.failed_ms {
            self.first_ms = Some(self.first_ms.map_or(failed_ms, |first| first.min(failed_ms)));
            self.last_ms = Some(self.last_ms.map_or(failed_ms, |last| last.max(failed_ms)));
            if let Some(interval) = window.interval(failed_ms) {
                self.trend[interval] += 1;
            }
        }
        self.add_version(facts.version);
        self.add_source(facts);
        let LetterFacts { failed_ms, partition, offset, .. } = *facts;
        self.add_place(Place { failed_ms, partition, offset })
    }

    fn add_version(&mut self, version: u16) {
        if version == NO_VERSION {
            return;
        }
        match self.versions.iter().position(|(known, _)| *known == version) {
            Some(at) => self.versions[at].1 += 1,
            None if self.versions.len() < MAX_VERSIONS => self.versions.push((version, 1)),
            None => {}
        }
    }

    fn add_source(&mut self, facts: &LetterFacts) {
        let (source, offset) = (facts.source, facts.source_offset);
        if source == NO_PARTITION {
            return;
        }
        match self.spans.binary_search_by_key(&source, |(known, _)| *known) {
            Ok(at) => {
                let (first, last) = &mut self.spans[at].1;
                (*first, *last) = ((*first).min(offset), (*last).max(offset));
            }
            Err(at) => self.spans.insert(at, (source, (offset, offset))),
        }
    }

    fn add_place(&mut self, place: Place) -> bool {
        let mut later = place;
        if self.first.len() < SAMPLES || self.first.last().is_some_and(|last| place < *last) {
            let at = self.first.partition_point(|known| *known < place);
            self.first.insert(at, place);
            if self.first.len() <= SAMPLES {
                return at == 0;
            }
            later = self.first.pop().unwrap_or(place);
        }
        let at = self.last.partition_point(|known| *known < later);
        if self.last.len() < SAMPLES {
            self.last.insert(at, later);
        } else if at > 0 {
            self.last.insert(at, later);
            self.last.remove(0);
        }
        self.first.first() == Some(&place)
    }

    /// The indexes of the versions, and the number of letters of each.
    pub fn versions(&self) -> &[(u16, u64)] {
        &self.versions
    }

    /// The places of the earliest letters, in order.
    pub fn first(&self) -> &[Place] {
        &self.first
    }

    /// The places of the latest letters behind the first ones, in order.
    pub fn last(&self) -> &[Place] {
        &self.last
    }

    /// The number of offsets between the first and the last failed record, over all partitions.
    pub fn span(&self) -> u64 {
        self.spans.iter().map(|(_, (first, last))| (last - first) as u64 + 1).sum()
    }
}
