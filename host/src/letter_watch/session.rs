//! Reads both topics from their beginnings, and goes on with new records.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use mapper_api::dead_letters::LetterGroupState;
use mapper_core::record::{Batch, Positions};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_dead_letters::StateError;
use mapper_dead_letters::open_letters::Summary;
use mapper_dead_letters::state::StateChange;
use mapper_kafka::{TopicFollower, TopicOffsets, TopicRange};
use mapper_telemetry::alerts::GroupAlert;

use super::LetterWatch;
use super::alerts;
use super::index::Ticket;

/// A question waits while so many letters are added.
const FETCH_RECORDS: usize = 1_000;
const FETCH_BYTES: usize = 2 << 20;
/// The longest wait for a letter. A change of a state waits as long.
const FETCH_WAIT: Duration = Duration::from_millis(500);
/// The interval of checks for a new state topic, for letters that were removed, and for topics that were created again; and of the times
/// when all records are known to be read.
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
    has_foreign_states: bool,
    /// Whether all letters and states of the start were read.
    is_loaded: bool,
    /// The questions that wait until the states before these offsets were read, and the letters before their ends.
    asked: Option<(Ticket, Positions)>,
    /// Whether there were more letters or groups than are kept.
    is_incomplete: bool,
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
            has_foreign_states: false,
            is_loaded: false,
            asked: None,
            is_incomplete: false,
            has_changed: true,
            counted: None,
            checked: now,
            began: now,
            summary: Summary::default(),
            waiting: Vec::new(),
            offsets,
        };
        session.watch.index.open(session.letters.waker(), &session.letter_firsts);
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
        let is_check = self.checked.elapsed() >= CHECK_EVERY;
        if is_check || (self.asked.is_none() && (!self.is_loaded || self.watch.index.has_questions())) {
            self.checked = Instant::now();
            // Before the offsets are read: they must be those after the question.
            let ticket = self.watch.index.ticket();
            match self.read_state_ends()? {
                Ok(ends) => self.asked = Some((ticket, ends)),
                Err(reason) => return Ok(Some(reason)),
            }
        }
        self.fetch_states()?;
        let mut has_all_letters = true;
        // A state concerns letters that were written before it, and so does an alert.
        if !self.state_batch.is_empty() || !self.is_loaded || !self.waiting.is_empty() || self.asked.is_some() {
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
        if self.letters.has_gone_back() {
            return Ok(Some("the dead-letter topic was created again"));
        }
        if !self.apply_states()? {
            return Ok(Some("a resolution was withdrawn"));
        }
        if !has_all_letters {
            return Ok(None);
        }
        let has_states_before = |ends: &Positions| self.states.as_ref().is_none_or(|states| states.has_reached(ends));
        if !self.is_loaded && has_states_before(&self.state_ends) {
            self.is_loaded = true;
            // Those of the time before the start of the pipeline.
            self.watch.index.lock().open.take_counts();
        }
        if let Some((ticket, _)) = self.asked.take_if(|(_, ends)| self.is_loaded && has_states_before(ends)) {
            self.watch.index.answer(ticket);
        }
        self.publish();
        Ok(None)
    }

    /// The present end of the state topic, or the reason to read all letters again.
    fn read_state_ends(&mut self) -> Result<Result<Positions, &'static str>, Halt> {
        let Some(states) = &self.states else {
            self.find_states()?;
            return Ok(Ok(self.state_ends.clone()));
        };
        Ok(match self.offsets.read(&self.watch.states)? {
            None => Err("the state topic was deleted"),
            Some(range) if is_other_topic(states, &range) => {
                Err("the state topic was created again or has more partitions")
            }
            Some(range) => Ok(range.ends),
        })
    }

    fn fetch_states(&mut self) -> Result<(), Halt> {
        self.state_batch.clear();
        let Some(states) = &mut self.states else { return Ok(()) };
        let is_behind = self.asked.as_ref().is_some_and(|(_, ends)| !states.has_reached(ends));
        let wait = if self.is_loaded && !is_behind { Duration::ZERO } else { FETCH_WAIT };
        states.fetch(&mut self.state_batch, FETCH_RECORDS, FETCH_BYTES, wait)
    }

    fn apply_states(&mut self) -> Result<bool, Halt> {
        let mut known = self.watch.index.lock();
        for record in self.state_batch.records() {
            self.has_changed = true;
            match StateChange::read(record) {
                Ok(change) => {
                    // The first read sees the last state of each key, except for a while before Kafka compacts the topic.
                    if !known.apply(change) && self.is_loaded {
                        return Ok(false);
                    }
                }
                Err(newer @ StateError::Newer { .. }) => {
                    let states = &self.watch.states;
                    return Err(Halt::configuration(format!("the state topic '{states}' can't be used: {newer}")));
                }
                Err(foreign @ StateError::Foreign { .. }) => {
                    known.add_foreign_state();
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
        if !self.batch.is_empty() {
            self.has_changed = true;
            self.watch.index.lock().add(&self.batch);
        }
        Ok(())
    }

    fn remove_before(&mut self, firsts: &Positions) {
        if self.letter_firsts != *firsts {
            self.watch.index.lock().remove_before(firsts);
            self.letter_firsts.clone_from(firsts);
            self.has_changed = true;
        }
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
        {
            let mut known = self.watch.index.lock();
            let (redriven, failed_again) = known.open.take_counts();
            telemetry.add(redriven, failed_again);
            self.summary = known.open.summary(Utc::now());
            if !known.open.is_complete() && !std::mem::replace(&mut self.is_incomplete, true) {
                tracing::info!(
                    topic = self.watch.dead_letters,
                    letters = known.open.letters(),
                    "not all dead letters fit into the memory that is kept for them: requests about them read the topic"
                );
            }
        }
        (self.has_changed, self.counted) = (false, Some(Instant::now()));
        telemetry.set(shown(&self.summary));
        self.watch.set_groups(self.summary.groups.clone());
        if self.watch.known.has_alerts() {
            alerts::post_regressions(self.watch, &self.summary);
            for alert in self.waiting.drain(..) {
                alerts::post_if_unknown(self.watch, alert, &self.summary);
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
    follower.has_gone_back() || range.ends.len() != follower.next().len() || !range.ends.iter().all(is_known)
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
