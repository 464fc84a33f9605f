//! Records that the broker rejects: which they are, and what is done about them. An output becomes a dead letter, and a dead letter is
//! written in another form. Where the broker named no record of a request, ever smaller transactions find it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{Mapper, Pipeline, Rejection, Sink, Source, VersionSlot};
use mapper_core::dead_letter::LetterForm;
use mapper_core::record::{Position, Positions};
use mapper_core::shutdown::Halt;

/// The limits of topics are read again when the broker rejects a record, but not more often than this.
pub(super) const REJECTED_LIMITS_AGE: Duration = Duration::from_secs(1);
/// They are read again before a record becomes a dead letter for them, if they are older than this.
pub(super) const LIMITS_AGE: Duration = Duration::from_secs(10);

/// What is known of an input record.
#[derive(Debug, Default)]
pub(super) struct RejectedInput {
    /// Why an output of it was rejected, if one was.
    pub(super) reason: Option<String>,
    /// How its dead letter is to be written.
    pub(super) form: LetterForm,
}

/// Input records that are not committed yet, and of which something was rejected.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    inputs: HashMap<Position, RejectedInput>,
    bisect: Option<TransactionBisect>,
}

/// The search for a record that the broker rejected without naming it.
#[derive(Debug)]
struct TransactionBisect {
    /// One of these at least.
    suspects: BTreeSet<Position>,
    /// The most records of a transaction, as long as there are suspects.
    records: usize,
}

impl TransactionBisect {
    fn of(suspects: BTreeSet<Position>) -> Option<Self> {
        let records = (suspects.len() / 2).max(1);
        (!suspects.is_empty()).then_some(Self { suspects, records })
    }
}

impl Rejections {
    /// What was rejected of this record.
    pub(super) fn get(&self, position: Position) -> Option<&RejectedInput> {
        if self.inputs.is_empty() { None } else { self.inputs.get(&position) }
    }

    /// The most records of a transaction.
    pub(super) fn transaction_records(&self) -> usize {
        self.bisect.as_ref().map_or(usize::MAX, |bisect| bisect.records)
    }

    /// The records before these offsets are committed.
    pub(super) fn committed(&mut self, next: &Positions) {
        let is_open = |(partition, offset): &Position| next.get(partition).is_none_or(|next| offset >= next);
        self.inputs.retain(|position, _| is_open(position));
        self.bisect = self.bisect.take().and_then(|bisect| {
            let suspects = bisect.suspects.into_iter().filter(is_open).collect();
            let narrowed = TransactionBisect::of(suspects)?;
            let records = match narrowed.suspects.len() {
                1 => bisect.records,
                // What passed is behind: more at once, or those of another request would be tried one by one.
                _ => narrowed.records.min(bisect.records * 2),
            };
            Some(TransactionBisect { records, ..narrowed })
        });
    }

    /// Commits what is before this record, of a transaction of so many, without it.
    fn set_apart(&mut self, position: Position, transaction_records: usize) {
        let records = (transaction_records / 2).max(1);
        self.bisect = Some(TransactionBisect { suspects: BTreeSet::from([position]), records });
    }

    /// Looks for the rejected record among those of a request.
    fn suspect(&mut self, inputs: &[Position]) {
        let suspects = inputs.iter().copied().filter(|input| !self.inputs.contains_key(input)).collect();
        let Some(mut found) = TransactionBisect::of(suspects) else { return };
        if let Some(before) = self.bisect.take() {
            // What was suspected before and is in no rejected request now may still be to come.
            found.suspects.extend(before.suspects);
        }
        self.bisect = Some(found);
    }
}

impl<S: Source, K: Sink, V: VersionSlot<Mapper: Mapper>> Pipeline<S, K, V> {
    /// Takes notice of what the broker rejected, so that it is not sent again as it was.
    pub(super) fn note_rejections(&mut self, rejections: &[Rejection]) -> Result<(), Halt> {
        let letters = self.settings.routes.dead_letter_index();
        let (named, unnamed): (Vec<_>, Vec<_>) = rejections.iter().partition(|rejection| rejection.inputs.len() == 1);
        // All as they were written, before one of them changes how others are.
        let written: Vec<LetterForm> = named
            .iter()
            .map(|rejection| {
                self.rejections.get(rejection.inputs[0]).map_or_else(LetterForm::default, |input| input.form)
            })
            .map(|form| self.dead_letters.effective(form))
            .collect();
        for (rejection, form) in named.into_iter().zip(written) {
            let Rejection { route, inputs, cause, reason } = rejection;
            let position @ (partition, offset) = inputs[0];
            tracing::warn!(reason, partition, offset, "the broker rejected a record");
            if *route != letters {
                self.rejections.inputs.entry(position).or_default().reason.get_or_insert_with(|| reason.clone());
                continue;
            }
            let Some(form) = self.dead_letters.after_rejection(form, *cause) else {
                let records = self.transaction.records();
                if records > 1 {
                    self.rejections.set_apart(position, records);
                    return Ok(());
                }
                let topic = &self.settings.routes.dead_letters.topic;
                return Err(Halt::kafka(format!(
                    "the dead-letter topic '{topic}' refuses the dead letter of partition {partition}, offset {offset} even \
                     without the record's content: {reason}. Nothing beyond that record is committed. Correct the topic's configuration \
                     and start again"
                )));
            };
            self.rejections.inputs.entry(position).or_default().form = form;
        }
        for Rejection { inputs, reason, .. } in unnamed {
            tracing::warn!(reason, records = inputs.len(), "the broker rejected a request without naming the record");
            self.rejections.suspect(inputs);
        }
        Ok(())
    }

    /// Reads what topics take, unless that is not older than this. Tells whether it has changed.
    pub(super) fn refresh_limits(&mut self, age: Duration) -> bool {
        if self.clock.now().saturating_duration_since(self.limits_read) < age {
            return false;
        }
        let routes = self.settings.routes.with_limits(self.sink.topic_limits());
        self.limits_read = self.clock.now();
        let is_changed = routes != *self.settings.routes;
        if is_changed {
            tracing::info!("the configuration of an output topic or of the dead-letter topic has changed");
            self.dead_letters.set_limits(routes.dead_letters.limits.clone());
            self.settings.routes = Arc::new(routes);
        }
        is_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_are_halved_and_cleared_by_commits() {
        let mut rejections = Rejections::default();
        assert_eq!(rejections.transaction_records(), usize::MAX);
        let suspects: Vec<Position> = (0..10).map(|offset| (0, offset)).collect();
        rejections.suspect(&suspects);
        assert_eq!(rejections.transaction_records(), 5);
        rejections.committed(&Positions::from([(0, 5), (1, 99)]));
        assert_eq!(rejections.transaction_records(), 2);
        rejections.suspect(&suspects[5..7]);
        assert_eq!(rejections.transaction_records(), 1);
        rejections.committed(&Positions::from([(0, 9)]));
        assert_eq!(rejections.transaction_records(), 1);
        rejections.committed(&Positions::from([(0, 10)]));
        assert_eq!(rejections.transaction_records(), usize::MAX);
    }

    #[test]
    fn a_rejected_record_is_known_until_it_is_committed() {
        let mut rejections = Rejections::default();
        rejections.inputs.entry((0, 7)).or_default().reason = Some("no key".to_owned());
        rejections.suspect(&[(0, 7)]);
        assert_eq!(rejections.transaction_records(), usize::MAX, "who is known is no suspect");
        rejections.committed(&Positions::from([(0, 7), (1, 99)]));
        assert!(rejections.get((0, 7)).is_some());
        rejections.committed(&Positions::from([(0, 8)]));
        assert!(rejections.get((0, 7)).is_none());
    }
}
