//! Answers from what the host knows of the dead letters, without a scan of the topic. Each is the answer of a scan; there is none if memory
//! does not have all letters, or a filter needs the contents of letters.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use mapper_api::dead_letters::{
    Letter, LetterCounts, LetterGroup, LetterGroupDetails, LetterGroupState, LetterGroups, LetterPage,
};
use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::Batch;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_dead_letters::open_letters::{Counts, Scope};
use mapper_dead_letters::report::{self, GroupContext};
use mapper_dead_letters::selection::Position;
use mapper_dead_letters::{Grouped, Selection};
use mapper_kafka::PositionReader;

use super::{PipelineLetters, groups, letters, page};
use crate::config::{LetterFilter, StateFilter};
use crate::letter_watch::{Known, KnownLetters};

/// The timeout of the read of letters.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known of the dead letters of a pipeline, and a reader of their records.
pub(crate) struct Lookup<'l> {
    pub(super) pipeline: &'l PipelineLetters,
    pub(super) known: Known,
    pub(super) reader: &'l mut PositionReader,
    pub(super) cancel: &'l Shutdown,
}

fn scope(state: StateFilter) -> Scope {
    match state {
        StateFilter::Open | StateFilter::Group(_) => Scope::Open,
        StateFilter::Closed => Scope::Closed,
        StateFilter::All => Scope::All,
    }
}

/// The beginning of the fingerprints that a filter selects; `None` if the filter needs more than fingerprints and states of groups.
fn fingerprint_of(filter: &LetterFilter) -> Option<&str> {
    let by_group = Selection { group: filter.selection.group.clone(), ..Selection::default() };
    let is_by_group = filter.selection == by_group && filter.withdrawn_in.is_none();
    is_by_group.then(|| filter.selection.group.as_deref().unwrap_or_default())
}

/// A letter, its partition and offset, and the bytes of its record.
struct Found {
    at: (i32, i64),
    letter: Letter,
    bytes: usize,
}

impl Lookup<'_> {
    fn as_of(&self) -> Option<String> {
        self.known.as_of().map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    fn index(&self) -> std::sync::MutexGuard<'_, KnownLetters> {
        self.pipeline.index.lock()
    }

    /// As [`groups::find`].
    pub(crate) fn groups(&self, filter: &LetterFilter) -> Option<(LetterGroups, usize)> {
        let mut found = self.find_groups(filter, Utc::now())?;
        let hidden = groups::hide(&mut found, filter.state);
        Some((found, hidden))
    }

    fn find_groups(&self, filter: &LetterFilter, now: DateTime<Utc>) -> Option<LetterGroups> {
        let prefix = fingerprint_of(filter)?;
        let mut index = self.index();
        let Counts { open, closed, foreign, removed } = index.letters().counts()?;
        let Grouped { groups, names, window, .. } = &*index.grouped(scope(filter.state), now)?;
        let topics = self.pipeline.topics();
        let letters = groups::in_state_of(filter.state, open, closed);
        let context = GroupContext { topic: &topics.dead_letters, names, window: *window, letters, now };
        let selected = groups.iter().filter(|(fingerprint, _)| fingerprint.starts_with(prefix));
        let groups: Vec<LetterGroup> = selected
            .map(|(name, stats)| report::group(name, stats, index.letters().decision(name), &context))
            .collect();
        let open_selected = match scope(filter.state) {
            Scope::Open => groups.iter().map(|group| group.count).sum(),
            Scope::Closed => 0,
            Scope::All if prefix.is_empty() => open,
            Scope::All => index.letters().count_open(|fingerprint| fingerprint.starts_with(prefix)),
        };
        let letters = LetterCounts {
            open,
            closed,
            filtered_out: open - open_selected,
            in_other_groups: 0,
            foreign,
            removed,
            foreign_states: index.foreign_states(),
        };
        let (topic, state_topic) = (topics.dead_letters, topics.states);
        Some(LetterGroups { topic, state_topic, groups, letters, hidden_groups: None, as_of: self.as_of() })
    }

    /// As [`letters::find_group`].
    ///
    /// # Errors
    /// If there is no such group or several, or Kafka refuses a read.
    pub(crate) fn group(&mut self, filter: &LetterFilter) -> Result<Option<LetterGroupDetails>, Halt> {
        let Some(LetterGroups { topic, groups, as_of, .. }) = self.find_groups(filter, Utc::now()) else {
            return Ok(None);
        };
        let group = groups::only(groups, filter.state)?.ok_or_else(|| letters::nothing(&topic, filter))?;
        let places: Vec<(i32, i64)> = group.samples.iter().take(letters::SAMPLES).filter_map(|at| place(at)).collect();
        let mut sorted = places.clone();
        sorted.sort_unstable();
        let mut letters = self.read(&sorted, usize::MAX)?;
        // In the order of the samples.
        letters.sort_by_key(|found| places.iter().position(|place| *place == found.at));
        let letters = letters.into_iter().map(|found| found.letter).collect();
        Ok(Some(LetterGroupDetails { group, letters, as_of }))
    }

    /// As [`page::read`].
    ///
    /// # Errors
    /// If Kafka refuses a read, or the position is in another topic.
    pub(crate) fn page(
        &mut self,
        filter: &LetterFilter,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Option<LetterPage>, Halt> {
        page::check_after(after, &self.pipeline.topics().dead_letters)?;
        let after = after.map(|after| (after.partition, after.offset));
        let Some(positions) = self.find_positions(filter, after, limit) else { return Ok(None) };
        let mut page = LetterPage { as_of: self.as_of(), ..LetterPage::default() };
        let mut bytes = 0;
        for found in self.read(&positions, page::MAX_BYTES)? {
            bytes += found.bytes;
            if page.letters.len() + 1 >= limit || bytes >= page::MAX_BYTES {
                page.next = Some(found.letter.position.clone());
            }
            page.letters.push(found.letter);
            if page.next.is_some() {
                break;
            }
        }
        Ok(Some(page))
    }

    fn find_positions(
        &self,
        filter: &LetterFilter,
        after: Option<(i32, i64)>,
        limit: usize,
    ) -> Option<Vec<(i32, i64)>> {
        if filter.withdrawn_in.is_some() {
            return None;
        }
        let mut index = self.index();
        let in_state = match filter.state {
            StateFilter::Group(state) => Some(names_in_state(&mut index, state)?),
            StateFilter::Open | StateFilter::Closed | StateFilter::All => None,
        };
        let selected = (&filter.selection, in_state.as_ref());
        index.letters().positions(scope(filter.state), selected, after, limit)
    }

    /// As [`letters::find_at`].
    ///
    /// # Errors
    /// If Kafka refuses a read, or there is no such letter.
    pub(crate) fn letters_at(&mut self, position: &Position) -> Result<Option<Vec<Letter>>, Halt> {
        let topic = self.pipeline.topics().dead_letters;
        // A letter has no place for the time of which it is.
        if self.known.as_of().is_some() {
            tracing::debug!(topic, %position, "the latest decisions are not known in time");
            return Ok(None);
        }
        let found = {
            let index = self.index();
            let letters = index.letters();
            let at = (position.partition, position.offset);
            match letters.is_complete() {
                false => None,
                true if position.topic == topic => Some(letters.contains(at).then_some(at).into_iter().collect()),
                true => letters.positions_of(position),
            }
        };
        let Some(positions) = found else { return Ok(None) };
        let found: Vec<Letter> = self.read(&positions, usize::MAX)?.into_iter().map(|found| found.letter).collect();
        if found.is_empty() {
            let selection = Selection { position: Some(position.clone()), ..Selection::default() };
            let filter = LetterFilter { selection, state: StateFilter::All, ..LetterFilter::default() };
            return Err(letters::nothing(&topic, &filter));
        }
        Ok(Some(found))
    }

    /// Reads letters at sorted positions. Those that were removed meanwhile are missing.
    fn read(&mut self, positions: &[(i32, i64)], max_bytes: usize) -> Result<Vec<Found>, Halt> {
        let mut batch = Batch::new(self.pipeline.topics().dead_letters);
        self.reader.read(positions, &mut batch, max_bytes, (READ_TIMEOUT, self.cancel))?;
        let index = self.index();
        let found = batch.records().filter_map(|record| {
            let letter = DeadLetter::read(record)?;
            let letter = report::letter(&letter, index.letters().is_open(&letter)?);
            let at = (record.partition(), record.offset());
            Some(Found { at, letter, bytes: record.value().map_or(0, <[u8]>::len) })
        });
        Ok(found.collect())
    }
}

/// The partition and the offset of a position.
fn place(position: &str) -> Option<(i32, i64)> {
    Position::parse(position).map(|at| (at.partition, at.offset))
}

/// The fingerprints of the groups in a state.
fn names_in_state(index: &mut KnownLetters, state: LetterGroupState) -> Option<HashSet<String>> {
    let now = Utc::now();
    let grouped = index.grouped(Scope::Open, now)?;
    let is_in_state = |name: &str, stats| report::group_state(stats, index.letters().decision(name), now) == state;
    let found = grouped.groups.iter().filter(|(name, stats)| is_in_state(name, stats));
    Some(found.map(|(name, _)| name.clone()).collect())
}
