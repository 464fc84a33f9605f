//! The sink, and what is needed to write outputs and dead letters to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::contracts::{Sink, Source};
use crate::error::{Rejection, SinkError};
use crate::ledger::Ledger;
use crate::observer::RecordTracer;
use crate::provenance::Provenance;
use crate::rules::{ErrorRatio, Rules};
use crate::settings::{BreakerRecords, CommitPolicy, Settings};
use mapper_core::dead_letter::{DeadLetterForm, DeadLetters};
use mapper_core::decision::Routes;
use mapper_core::identity::ActiveVersion;
use mapper_core::record::Positions;
use mapper_core::shutdown::Halt;
use mapper_core::topic_table::TopicNames;

/// The sink, and what is needed to write to it.
pub(crate) struct Emitter<K> {
    pub(crate) sink: K,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) routes: Arc<Routes>,
    pub(crate) provenance: Option<Provenance>,
    /// `None` without a ledger topic.
    pub(crate) ledger: Option<Ledger>,
    pub(crate) error_ratio: Option<ErrorRatio>,
    pub(crate) breaker_records: BreakerRecords,
    pub(crate) commit: CommitPolicy,
    /// Traces the records of the last batch.
    pub(crate) tracer: Option<Box<dyn RecordTracer>>,
    /// When the last verdicts came.
    pub(crate) now: DateTime<Utc>,
    /// When it was last read what topics take.
    limits_read: Instant,
}

impl<K: Sink> Emitter<K> {
    pub(crate) fn new(
        sink: K,
        dead_letters: DeadLetters,
        active: &ActiveVersion,
        settings: &Settings,
        limits_read: Instant,
    ) -> Self {
        let failures = &settings.failures;
        Self {
            sink,
            dead_letters,
            routes: settings.routes.clone(),
            provenance: settings.provenance.then(|| Provenance::of(active)),
            ledger: Ledger::new(&settings.routes, &settings.ledger, &active.version.digest),
            error_ratio: failures.halt_on_error_ratio.map(|limit| ErrorRatio::new(limit, failures.error_ratio_window)),
            breaker_records: failures.breaker.records,
            commit: settings.commit,
            tracer: None,
            now: DateTime::UNIX_EPOCH,
            limits_read,
        }
    }

    /// Another version is active.
    pub(crate) fn set_version(&mut self, active: &ActiveVersion) {
        self.dead_letters.set_plugin(active);
        if let Some(provenance) = &mut self.provenance {
            *provenance = Provenance::of(active);
        }
        if let Some(ledger) = &mut self.ledger {
            ledger.set_plugin(&active.version.digest);
        }
    }

    /// Begins a transaction.
    pub(crate) fn begin(&mut self) -> Result<(), SinkError> {
        if let Some(ledger) = &mut self.ledger {
            ledger.clear();
        }
        self.sink.begin()
    }

    /// Sends the ledger records of the transaction, which advances the partitions to these offsets.
    pub(crate) fn send_ledger(
        &mut self,
        topics: &TopicNames,
        next: &Positions,
        source: &impl Source,
    ) -> Result<(), SinkError> {
        let Self { sink, routes, ledger, .. } = self;
        ledger.as_mut().map_or(Ok(()), |ledger| ledger.send(sink, (routes, topics), next, source))
    }

    /// Reads what topics take, unless that is not older than `age`. Returns whether it has changed.
    pub(crate) fn refresh_limits(&mut self, now: Instant, age: Duration) -> bool {
        if now.saturating_duration_since(self.limits_read) < age {
            return false;
        }
        let routes = self.routes.with_limits(self.sink.topic_limits());
        self.limits_read = now;
        let is_changed = routes != *self.routes;
        if is_changed {
            tracing::info!("the configuration of an output topic or of the dead-letter topic has changed");
            self.dead_letters.set_limits(routes.dead_letters.limits.clone());
            self.routes = Arc::new(routes);
        }
        is_changed
    }

    /// Chooses another way to write what the broker rejected, so that it is not sent again as it was.
    ///
    /// # Errors
    /// When there is no other way left.
    pub(crate) fn note_rejections(
        &mut self,
        rules: &mut Rules,
        topics: &TopicNames,
        rejections: &[Rejection],
    ) -> Result<(), Halt> {
        let letters = self.routes.dead_letter_index();
        let ledger = self.ledger.as_ref().map(Ledger::route);
        if let Some(rejection) = rejections.iter().find(|rejection| Some(rejection.route) == ledger) {
            // No input record is at fault.
            let (topic, reason) = (&self.routes.get(rejection.route).topic, &rejection.reason);
            return Err(Halt::kafka(format!(
                "the ledger topic '{topic}' refuses a ledger record: {reason}. Nothing of its transaction is committed. Correct the \
                 topic's configuration and start again"
            )));
        }
        let (named, unnamed): (Vec<_>, Vec<_>) = rejections.iter().partition(|rejection| rejection.inputs.len() == 1);
        // All as they were written, before one of them changes how others are.
        let written: Vec<DeadLetterForm> = named
            .iter()
            .map(|rejection| {
                rules.rejections.get(rejection.inputs[0]).map_or_else(DeadLetterForm::default, |input| input.form)
            })
            .map(|form| self.dead_letters.effective(form))
            .collect();
        for (rejection, form) in named.into_iter().zip(written) {
            let Rejection { route, inputs, cause, reason } = rejection;
            let position @ (number, offset) = inputs[0];
            let (topic, partition) = (topics.topic(number), topics.partition(number));
            tracing::warn!(reason, topic, partition, offset, "the broker rejected a record");
            if *route != letters {
                rules.rejections.reject_output(position, reason);
                continue;
            }
            let Some(form) = self.dead_letters.after_rejection(form, *cause) else {
                let records = rules.transaction.records();
                if records > 1 {
                    rules.rejections.set_apart(position, records);
                    return Ok(());
                }
                let (letters, partition) = (&self.routes.dead_letters.topic, topics.describe(number));
                return Err(Halt::kafka(format!(
                    "the dead-letter topic '{letters}' refuses the dead letter of {partition}, offset {offset} even \
                     without the record's content: {reason}. Nothing beyond that record is committed. Correct the topic's configuration \
                     and start again"
                )));
            };
            rules.rejections.set_form(position, form);
        }
        for Rejection { inputs, reason, .. } in unnamed {
            tracing::warn!(reason, records = inputs.len(), "the broker rejected a request without naming the record");
            rules.rejections.suspect(inputs);
        }
        Ok(())
    }
}
