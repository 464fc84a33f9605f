//! Follows the dead letters of a pipeline and what is done about them: for the metrics, the alerts, the hints, and the requests about
//! dead letters.
//!
//! A thread of its own reads both topics without a group. The record path does not wait for it, and its failures do not stop the
//! pipeline.

mod alerts;
mod hint;
mod index;
mod session;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mapper_core::shutdown::{Halt, Shutdown};
use mapper_dead_letters::open_letters::OpenGroup;
use mapper_kafka::KafkaSettings;
use mapper_telemetry::{KnownGroups, Telemetry};
use mapper_versions::priority;

pub(crate) use hint::{Hints, RedriveCommand};
pub(crate) use index::{Known, KnownLetters, LetterIndex};
use session::{End, Session};

/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// The pause before all letters are read again.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How long the end of the pipeline waits until the states of groups with alerts are known.
const LAST_ALERTS: Duration = Duration::from_secs(2);

/// The topics of a pipeline, and who wants to know about its dead letters.
pub(crate) struct LetterWatch {
    settings: KafkaSettings,
    dead_letters: String,
    states: String,
    telemetry: Arc<Telemetry>,
    known: Arc<KnownGroups>,
    index: Arc<LetterIndex>,
    /// The groups with open letters; `None` until all letters were read.
    groups: Mutex<Option<Vec<OpenGroup>>>,
}

/// Ends the answers of the index.
struct ClosesIndex<'i>(&'i LetterIndex);

impl Drop for ClosesIndex<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Posts the alerts that were held back, and holds no more back.
struct PostsHeld<'k>(&'k KnownGroups);

impl Drop for PostsHeld<'_> {
    fn drop(&mut self) {
        self.0.release().into_iter().for_each(|alert| self.0.post(alert));
    }
}

impl LetterWatch {
    /// `None` without known groups, which a generation has.
    pub(crate) fn new(
        settings: KafkaSettings,
        (dead_letters, states): (&str, &str),
        telemetry: Arc<Telemetry>,
        index: Arc<LetterIndex>,
    ) -> Option<Self> {
        let known = telemetry.groups()?.clone();
        let (dead_letters, states) = (dead_letters.to_owned(), states.to_owned());
        Some(Self { settings, dead_letters, states, telemetry, known, index, groups: Mutex::default() })
    }

    /// Follows the topics until the shutdown.
    pub(crate) fn run(&self, shutdown: &Shutdown) {
        priority::lower_current_thread();
        // Also after a panic.
        let _posts_held = PostsHeld(&self.known);
        let mut last_error = None;
        while !shutdown.requested() {
            if self.known.has_alerts() {
                self.known.hold();
            }
            self.telemetry.dead_letters.loading();
            match self.follow(shutdown) {
                Ok(End::Shutdown) => {}
                Ok(End::ReadAgain(reason)) => {
                    last_error = None;
                    tracing::info!(topic = self.dead_letters, reason, "reading all dead letters again");
                    shutdown.sleep(READ_AGAIN);
                }
                Err(halt) => {
                    self.report_failure(&halt, &mut last_error);
                    shutdown.sleep(RETRY);
                }
            }
        }
    }

    fn follow(&self, shutdown: &Shutdown) -> Result<End, Halt> {
        // Also after a panic.
        let _closes = ClosesIndex(&self.index);
        let mut session = Session::open(self)?;
        let followed = session.follow(shutdown);
        if shutdown.requested() && self.known.has_alerts() {
            session.finish_alerts(Instant::now() + LAST_ALERTS);
        }
        session.post_waiting();
        followed
    }

    fn report_failure(&self, halt: &Halt, last_error: &mut Option<String>) {
        let error = halt.reason();
        self.telemetry.dead_letters.failed(error.clone());
        // The states of the groups are not known.
        drop(PostsHeld(&self.known));
        if last_error.as_ref() == Some(&error) {
            tracing::debug!(topic = self.dead_letters, error, "failed to follow the dead letters again");
        } else {
            tracing::warn!(
                topic = self.dead_letters,
                state_topic = self.states,
                error,
                "failed to follow the dead letters; the metrics of open letters and of their groups are old until an attempt succeeds. The \
                 pipeline is not affected"
            );
        }
        *last_error = Some(error);
    }

    fn groups(&self) -> Option<Vec<OpenGroup>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_groups(&self, groups: Vec<OpenGroup>) {
        *self.groups.lock().unwrap_or_else(PoisonError::into_inner) = Some(groups);
    }
}
