//! Records that the broker rejects. An output becomes a dead letter, and a dead letter is written in another form. Where the broker
//! names no record of a request, ever smaller transactions find it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use mapper_core::dead_letter::DeadLetterForm;
use mapper_core::record::{Position, Positions};

/// The limits of topics are read again when the broker rejects a record, but not more often than this.
pub(crate) const REJECTED_LIMITS_AGE: Duration = Duration::from_secs(1);
/// They are read again before a record becomes a dead letter for them, if they are older than this.
pub(crate) const LIMITS_AGE: Duration = Duration::from_secs(10);

/// What is known of an input record.
#[derive(Debug, Default)]
pub(crate) struct RejectedInput {
    /// Why an output of it was rejected, if one was.
    pub(crate) reason: Option<String>,
    /// How its dead letter is to be written.
    pub(crate) form: DeadLetterForm,
}

/// Input records that are not committed yet, and of which something was rejected.
#[derive(Debug, Default)]
pub(crate) struct Rejections {
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
    /// An output of this record was rejected, for this reason.
    pub(crate) fn reject_output(&mut self, position: Position, reason: &str) {
        self.inputs.entry(position).or_default().reason.get_or_insert_with(|| reason.to_owned());
    }

    /// The dead letter of this record was rejected; the next one has this form.
    pub(crate) fn set_form(&mut self, position: Position, form: DeadLetterForm) {
        self.inputs.entry(position).or_default().form = form;
    }

    /// What was rejected of this record.
    pub(crate) fn get(&self, position: Position) -> Option<&RejectedInput> {
        if self.inputs.is_empty() { None } else { self.inputs.get(&position) }
    }

    /// The most records of a transaction.
    pub(crate) fn transaction_records(&self) -> usize {
        self.bisect.as_ref().map_or(usize::MAX, |bisect| bisect.records)
    }

    /// The records before these offsets are committed.
    pub(crate) fn committed(&mut self, next: &Positions) {
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
    pub(crate) fn set_apart(&mut self, position: Position, transaction_records: usize) {
        let records = (transaction_records / 2).max(1);
        self.bisect = Some(TransactionBisect { suspects: BTreeSet::from([position]), records });
    }

    /// Looks for the rejected record among those of a request.
    pub(crate) fn suspect(&mut self, inputs: &[Position]) {
        let suspects = inputs.iter().copied().filter(|input| !self.inputs.contains_key(input)).collect();
        let Some(mut found) = TransactionBisect::of(suspects) else { return };
        if let Some(before) = self.bisect.take() {
            // What was suspected before and is in no rejected request now may still be to come.
            found.suspects.extend(before.suspects);
        }
        self.bisect = Some(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_bisect_halves_suspects_and_commits_clear_them() {
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
    fn rejected_record_is_remembered_until_it_is_committed() {
        let mut rejections = Rejections::default();
        rejections.reject_output((0, 7), "no key");
        rejections.suspect(&[(0, 7)]);
        assert_eq!(rejections.transaction_records(), usize::MAX, "a record that was named is no suspect");
        rejections.committed(&Positions::from([(0, 7), (1, 99)]));
        assert!(rejections.get((0, 7)).is_some());
        rejections.committed(&Positions::from([(0, 8)]));
        assert!(rejections.get((0, 7)).is_none());
    }
}
