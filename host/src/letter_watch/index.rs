//! What the host knows about the dead letters of a pipeline, for requests.
//!
//! The thread that follows the topics writes it. A question first waits, for a short time, until that thread has read all that was in
//! Kafka when the question was asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::{Batch, Positions};
use mapper_dead_letters::Grouped;
use mapper_dead_letters::OpenLetters;
use mapper_dead_letters::open_letters::Scope;
use mapper_dead_letters::state::StateChange;
use mapper_kafka::FollowerWaker;

/// How long a question waits for the latest records.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is known about the dead letters of a pipeline.
#[derive(Default)]
pub(crate) struct LetterIndex {
    known: Mutex<KnownLetters>,
    questions: AtomicU64,
    answered: watch::Sender<Answered>,
    waker: Mutex<Option<FollowerWaker>>,
}

/// The questions that were asked before a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    last: u64,
    at: DateTime<Utc>,
}

/// The last questions for which all records were read.
#[derive(Debug, Clone, Copy, Default)]
struct Answered {
    last: u64,
    /// `None` if nothing is known.
    at: Option<DateTime<Utc>>,
}

/// The letters, and the records of the state topic.
#[derive(Default)]
pub(crate) struct KnownLetters {
    pub(super) open: OpenLetters,
    foreign_states: u64,
    grouped: Option<(Scope, DateTime<Utc>, Arc<Grouped>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LetterIndex {
    pub(crate) fn lock(&self) -> MutexGuard<'_, KnownLetters> {
        lock(&self.known)
    }

    /// Begins with no letter. `waker` ends the wait of the thread that follows the topics.
    pub(super) fn open(&self, waker: FollowerWaker, firsts: &Positions) {
        let mut known = self.lock();
        *known = KnownLetters::default();
        known.open.remove_before(firsts);
        *lock(&self.waker) = Some(waker);
    }

    /// Nothing is known any more.
    pub(super) fn close(&self) {
        self.answered.send_modify(|answered| answered.at = None);
        *lock(&self.waker) = None;
        *self.lock() = KnownLetters::default();
    }

    pub(super) fn has_questions(&self) -> bool {
        self.questions.load(Ordering::SeqCst) > self.answered.borrow().last
    }

    /// The questions so far.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket { last: self.questions.load(Ordering::SeqCst), at: Utc::now() }
    }

    /// All records were read that Kafka had at the time of the ticket.
    pub(super) fn answer(&self, Ticket { last, at }: Ticket) {
        self.answered.send_replace(Answered { last, at: Some(at) });
    }

    /// Waits for the records that are in Kafka now. Returns the time whose records are known; `None` if nothing is.
    pub(crate) async fn catch_up(&self) -> Option<Known> {
        let mut answered = self.answered.subscribe();
        answered.borrow().at?;
        let question = self.questions.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(waker) = &*lock(&self.waker) {
            waker.wake();
        }
        let is_answered = answered.wait_for(|answered| answered.last >= question || answered.at.is_none());
        let is_current = tokio::time::timeout(PATIENCE, is_answered).await.is_ok();
        let at = answered.borrow().at?;
        Some(Known { at, is_current })
    }
}

/// Which records are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    at: DateTime<Utc>,
    is_current: bool,
}

impl Known {
    /// The time whose records are known, if there may be later ones.
    pub(crate) fn as_of(self) -> Option<DateTime<Utc>> {
        (!self.is_current).then_some(self.at)
    }
}

impl KnownLetters {
    pub(super) fn add(&mut self, batch: &Batch) {
        self.grouped = None;
        for record in batch.records() {
            match DeadLetter::read(record) {
                Some(letter) => self.open.add(&letter),
                None => self.open.add_foreign(record.partition(), record.offset()),
            }
        }
    }

    /// As [`OpenLetters::apply`].
    pub(super) fn apply(&mut self, change: StateChange) -> bool {
        self.grouped = None;
        self.open.apply(change)
    }

    pub(super) fn add_foreign_state(&mut self) {
        self.foreign_states += 1;
    }

    pub(super) fn remove_before(&mut self, firsts: &Positions) {
        self.grouped = None;
        self.open.remove_before(firsts);
    }

    /// The letters.
    pub(crate) fn letters(&self) -> &OpenLetters {
        &self.open
    }

    /// Records of the state topic that are not of this program.
    pub(crate) fn foreign_states(&self) -> u64 {
        self.foreign_states
    }

    /// As [`OpenLetters::grouped`]. The last answer is kept until something changes.
    pub(crate) fn grouped(&mut self, scope: Scope, now: DateTime<Utc>) -> Option<Arc<Grouped>> {
        let hour = |at: DateTime<Utc>| at.timestamp().div_euclid(3_600);
        if let Some((_, _, grouped)) =
            self.grouped.as_ref().filter(|(of, at, _)| *of == scope && hour(*at) == hour(now))
        {
            return Some(grouped.clone());
        }
        let grouped = Arc::new(self.open.grouped(scope, now)?);
        self.grouped = Some((scope, now, grouped.clone()));
        Some(grouped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn question_waits_for_an_answer_to_a_later_ticket_and_not_for_ever() {
        let index = Arc::new(LetterIndex::default());
        assert!(index.catch_up().await.is_none(), "nothing is known yet");
        let before = index.ticket();
        index.answer(before);
        assert!(!index.has_questions());
        let asked = index.clone();
        let question = tokio::spawn(async move { asked.catch_up().await });
        tokio::task::yield_now().await;
        assert!(index.has_questions());
        // The records of this ticket are those before the question.
        index.answer(before);
        tokio::task::yield_now().await;
        assert!(!question.is_finished());
        index.answer(index.ticket());
        assert!(question.await.unwrap().is_some_and(|known| known.as_of().is_none()));
        let late = index.catch_up().await.unwrap();
        assert!(late.as_of().is_some_and(|at| at >= before.at), "the host has no time to read");
        index.close();
        assert!(index.catch_up().await.is_none());
    }
}
