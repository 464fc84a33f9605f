//! Reads both topics from their beginnings, and goes on with new records.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use mapper_api::dead_letters::LetterGroupState;
use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::{Batch, Positions};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_dead_letters::StateError;
use mapper_dead_letters::open_letters::{OpenLetters, Summary};
use mapper_dead_letters::state::StateChange;
use mapper_kafka::{TopicFollower, TopicOffsets, TopicRange};
use mapper_telemetry::alerts::GroupAlert;

use super::LetterWatch;
use super::alerts;

const FETCH_RECORDS: usize = 5_000;
const FETCH_BYTES: usize = 2 << 20;
/// The longest wait for a letter. A change of a state waits as long.
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// The interval of checks for a new state topic, for letters that were removed, and for topics that were created again.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// The shortest time between two counts of the open letters.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// The longest time between them: groups become older, and mutes end.
const COUNT_AGAIN: Duration = Duration::from_secs(30);
/// No progress for this time is an error.
const STALLED: Duration = Duration::from_secs(60);
/// Alerts wait for the first read of all letters for this time.
const ALERT_PATIENCE: Duration = Duration::from_secs(60);

/// Why a session ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Shutdown,
    /// All letters must be read again, for this reason.
    ReadAgain(&'static str),
}

/// Both topics at the present positions, and what was read.
pub(super) struct Session<'w> {
    watch: &'w LetterWatch,
    offsets: TopicOffsets,
    letters: TopicFollower,
    letter_firsts: Positions,
    /// `None` until the state topic exists.
    states: Option<TopicFollower>,
    /// The end of the state topic at the start.
    state_ends: Positions,
    batch: Batch,
    state_batch: Batch,
    open: OpenLetters,
    has_foreign_states: bool,
    /// Whether all letters and states of the start were read.
    is_loaded: bool,
    has_changed: bool,
    counted: Option<Instant>,
    checked: Instant,
    began: Instant,
    summary: Summary,
    /// Alerts of groups whose states are not known yet.
    waiting: Vec<GroupAlert>,
}

impl<'w> Session<'w> {
    /// # Errors
    /// If Kafka does not answer, or the dead-letter topic does not exist.
    pub(super) fn open(watch: &'w LetterWatch) -> Result<Self, Halt> {
        let offsets = TopicOffsets::new(&watch.settings)?;
        let topic = &watch.dead_letters;
        let range = offsets.read(topic)?;
        let TopicRange { firsts, .. } =
            range.ok_or_else(|| Halt::kafka(format!("the dead-letter topic '{topic}' does not exist")))?;
        let letters = offsets.follow(topic, &firsts)?;
        let now = Instant::now();
        let mut session = Self {
            watch,
            letters,
            letter_firsts: firsts,
            states: None,
            state_ends: Positions::new(),
            batch: Batch::new(topic.as_str()),
            state_batch: Batch::new(watch.states.as_str()),
            open: OpenLetters::default(),
            has_foreign_states: false,
            is_loaded: false,
            has_changed: true,
            counted: None,
            checked: now,
            began: now,
            summary: Summary::default(),
            waiting: Vec::new(),
            offsets,
        };
        session.find_states()?;
        Ok(session)
    }

    /// Follows the topics until the shutdown.
    pub(super) fn follow(&mut self, shutdown: &Shutdown) -> Result<End, Halt> {
        while !shutdown.requested() {
            if let Some(reason) = self.step(&|| shutdown.requested())? {
                return Ok(End::ReadAgain(reason));
            }
        }
        Ok(End::Shutdown)
    }

    /// Reads a part of the states, and the letters that they can concern. Returns a reason to read all letters again.
    fn step(&mut self, is_over: &dyn Fn() -> bool) -> Result<Option<&'static str>, Halt> {
        self.waiting.append(&mut self.watch.known.take_held());
        self.fetch_states()?;
        let is_check = self.checked.elapsed() >= CHECK_EVERY;
        let mut has_all_letters = true;
        // A state concerns letters that were written before it, and so does an alert.
        if !self.state_batch.is_empty() || !self.is_loaded || !self.waiting.is_empty() || is_check {
            let Some(range) = self.offsets.read(&self.watch.dead_letters)? else {
                return Ok(Some("the dead-letter topic was deleted"));
            };
            if is_other_topic(&self.letters, &range) {
                return Ok(Some("the dead-letter topic was created again or has more partitions"));
            }
            self.remove_before(&range.firsts);
            has_all_letters = self.read_letters_to(&range.ends, is_over)?;
        } else {
            self.fetch_letters(FETCH_WAIT)?;
        }
        if !self.apply_states()? {
            return Ok(Some("a resolution was withdrawn"));
        }
        if is_check {
            self.checked = Instant::now();
            if let Some(reason) = self.check_states()? {
                return Ok(Some(reason));
            }
        }
        if !has_all_letters {
            return Ok(None);
        }
        let has_all_states = || self.states.as_ref().is_none_or(|states| states.has_reached(&self.state_ends));
        if !self.is_loaded && has_all_states() {
            self.is_loaded = true;
            // Those of the time before the start of the pipeline.
            self.open.take_counts();
        }
        self.publish();
        Ok(None)
    }

    fn fetch_states(&mut self) -> Result<(), Halt> {
        self.state_batch.clear();
        let Some(states) = &mut self.states else { return Ok(()) };
        let wait = if self.is_loaded { Duration::ZERO } else { FETCH_WAIT };
        states.fetch(&mut self.state_batch, FETCH_RECORDS, FETCH_BYTES, wait)
    }

    fn apply_states(&mut self) -> Result<bool, Halt> {
        for record in self.state_batch.records() {
            self.has_changed = true;
            match StateChange::read(record) {
                Ok(change) => {
                    // Its letters are open again, and their entries are gone. The first read sees the last state of each key, except for
                    // a while before Kafka compacts the topic.
                    if !self.open.apply(change) && self.is_loaded {
                        return Ok(false);
                    }
                }
                Err(newer @ StateError::Newer { .. }) => {
                    let states = &self.watch.states;
                    return Err(Halt::configuration(format!("the state topic '{states}' can't be used: {newer}")));
                }
                Err(foreign @ StateError::Foreign { .. }) => {
                    if !self.has_foreign_states {
                        tracing::warn!(topic = self.watch.states, "skipped a record of the state topic: {foreign}");
                    }
                    self.has_foreign_states = true;
                }
            }
        }
        Ok(true)
    }

    /// Reads the letters before these offsets. Returns false if it is over before.
    fn read_letters_to(&mut self, ends: &Positions, is_over: &dyn Fn() -> bool) -> Result<bool, Halt> {
        let mut progress = (self.letters.next().clone(), Instant::now());
        while !self.letters.has_reached(ends) {
            if is_over() {
                return Ok(false);
            }
            self.fetch_letters(FETCH_WAIT)?;
            if *self.letters.next() != progress.0 {
                progress = (self.letters.next().clone(), Instant::now());
            } else if progress.1.elapsed() > STALLED {
                let topic = &self.watch.dead_letters;
                return Err(Halt::kafka(format!(
                    "no record of the topic '{topic}' could be read for {}",
                    humantime::format_duration(STALLED)
                )));
            }
            self.post_after_patience();
        }
        Ok(true)
    }

    fn fetch_letters(&mut self, wait: Duration) -> Result<(), Halt> {
        self.batch.clear();
        self.letters.fetch(&mut self.batch, FETCH_RECORDS, FETCH_BYTES, wait)?;
        for letter in self.batch.records().filter_map(DeadLetter::read) {
            self.open.add(&letter);
            self.has_changed = true;
        }
        Ok(())
    }

    fn remove_before(&mut self, firsts: &Positions) {
        if self.letter_firsts != *firsts {
            self.open.remove_before(firsts);
            self.letter_firsts.clone_from(firsts);
            self.has_changed = true;
        }
    }

    fn check_states(&mut self) -> Result<Option<&'static str>, Halt> {
        let Some(states) = &self.states else {
            self.find_states()?;
            return Ok(None);
        };
        Ok(match self.offsets.read(&self.watch.states)? {
            None => Some("the state topic was deleted"),
            Some(range) if is_other_topic(states, &range) => {
                Some("the state topic was created again or has more partitions")
            }
            Some(_) => None,
        })
    }

    /// Without a decision about dead letters, there is no state topic.
    fn find_states(&mut self) -> Result<(), Halt> {
        if let Some(TopicRange { firsts, ends }) = self.offsets.read(&self.watch.states)? {
            self.states = Some(self.offsets.follow(&self.watch.states, &firsts)?);
            self.state_ends = ends;
        }
        Ok(())
    }

    /// Counts the open letters, and posts alerts.
    fn publish(&mut self) {
        let telemetry = &self.watch.telemetry.dead_letters;
        if !self.is_loaded {
            return self.post_after_patience();
        }
        let age = self.counted.map_or(Duration::MAX, |counted| counted.elapsed());
        if !(self.has_changed && age >= COUNT_EVERY) && age < COUNT_AGAIN && self.waiting.is_empty() {
            return;
        }
        let (redriven, failed_again) = self.open.take_counts();
        telemetry.add(redriven, failed_again);
        self.summary = self.open.summary(Utc::now());
        (self.has_changed, self.counted) = (false, Some(Instant::now()));
        telemetry.set(shown(&self.summary));
        self.watch.set_groups(self.summary.groups.clone());
        if self.watch.known.has_alerts() {
            alerts::post_regressions(self.watch, &self.summary);
            for alert in self.waiting.drain(..) {
                alerts::post_if_unknown(self.watch, alert, &self.summary, &self.open);
            }
        }
    }

    /// Alerts do not wait for ever for the first read of a large topic.
    fn post_after_patience(&mut self) {
        if !self.is_loaded && self.began.elapsed() > ALERT_PATIENCE {
            self.post_waiting();
        }
    }

    /// Tries to learn the states of groups with alerts before the end.
    pub(super) fn finish_alerts(&mut self, deadline: Instant) {
        let is_over = || Instant::now() >= deadline;
        loop {
            self.waiting.append(&mut self.watch.known.release());
            if self.waiting.is_empty() || is_over() || !matches!(self.step(&is_over), Ok(None)) {
                return;
            }
        }
    }

    /// Posts the alerts of groups whose states are not known.
    pub(super) fn post_waiting(&mut self) {
        self.waiting.drain(..).for_each(|alert| self.watch.known.post(alert));
    }
}

/// Whether the topic of these offsets is not the one that is followed.
fn is_other_topic(follower: &TopicFollower, range: &TopicRange) -> bool {
    let is_known = |(partition, end): (&i32, &i64)| follower.next().get(partition).is_some_and(|next| next <= end);
    range.ends.len() != follower.next().len() || !range.ends.iter().all(is_known)
}

fn shown(summary: &Summary) -> mapper_telemetry::OpenLetters {
    let count = |state| summary.groups.iter().filter(|group| group.state == state).count() as u64;
    mapper_telemetry::OpenLetters {
        groups_by_state: LetterGroupState::ALL.map(|state| (state.name(), count(state))).to_vec(),
        open: summary.open,
        oldest: summary.oldest_ms.and_then(DateTime::from_timestamp_millis),
        is_estimate: summary.is_estimate,
    }
}
