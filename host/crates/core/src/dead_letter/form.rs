//! What a dead letter does without when the broker rejects it: step by step, until there is nothing left to leave out.

use crate::rejection::RejectionCause;

/// Which timestamp a dead letter has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LetterTimestamp {
    /// That of its record, if the topic takes it.
    #[default]
    Source,
    /// The time at which it is produced.
    Present,
    /// None at all: brokers take that whatever their time is.
    Absent,
}

/// How a dead letter is written. The default leaves nothing out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LetterForm {
    pub(super) timestamp: LetterTimestamp,
    /// It has a key in any case.
    pub(super) has_key: bool,
    /// How often its size was divided by [`Self::SHRINKING`].
    pub(super) shrinks: u32,
    /// It has the coordinates of its record, and nothing of its content.
    pub(super) is_bare: bool,
}

impl LetterForm {
    /// Each time that a dead letter is too large, though not by what is known of the topic, it may be this much smaller.
    const SHRINKING: usize = 4;
    /// What is left out of a smaller one is not its size.
    const SMALLEST_BYTES: usize = 2_000;

    /// The largest dead letter for a topic that takes records of that size.
    pub(super) fn max_bytes(self, topic_bytes: usize) -> usize {
        let divisor = Self::SHRINKING.saturating_pow(self.shrinks);
        (topic_bytes / divisor).max(Self::SMALLEST_BYTES).min(topic_bytes)
    }

    /// With all that either does without.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            timestamp: self.timestamp.max(other.timestamp),
            has_key: self.has_key || other.has_key,
            shrinks: self.shrinks.max(other.shrinks),
            is_bare: self.is_bare || other.is_bare,
        }
    }

    /// The form to try once this one was rejected; `None` if there is nothing left to try.
    pub(super) fn after(self, cause: RejectionCause, topic_bytes: usize) -> Option<Self> {
        let bare = (!self.is_bare).then_some(Self { is_bare: true, has_key: true, ..self });
        match (cause, self.timestamp) {
            (RejectionCause::TooLarge, _) => {
                let smaller = Self { shrinks: self.shrinks + 1, ..self };
                if smaller.max_bytes(topic_bytes) < self.max_bytes(topic_bytes) { Some(smaller) } else { bare }
            }
            (RejectionCause::Timestamp, LetterTimestamp::Source) => {
                Some(Self { timestamp: LetterTimestamp::Present, ..self })
            }
            (RejectionCause::Timestamp, LetterTimestamp::Present) => {
                Some(Self { timestamp: LetterTimestamp::Absent, ..self })
            }
            (RejectionCause::Timestamp, LetterTimestamp::Absent) => bare,
            (RejectionCause::Other, _) if !self.has_key => Some(Self { has_key: true, ..self }),
            (RejectionCause::Other, LetterTimestamp::Source) => {
                Some(Self { timestamp: LetterTimestamp::Present, ..self })
            }
            (RejectionCause::Other, _) => bare,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC_BYTES: usize = 1_048_588;

    #[test]
    fn a_rejected_letter_leaves_out_more_each_time_until_nothing_is_left() {
        for cause in [RejectionCause::TooLarge, RejectionCause::Timestamp, RejectionCause::Other] {
            let forms = std::iter::successors(Some(LetterForm::default()), |form| form.after(cause, TOPIC_BYTES));
            let forms: Vec<LetterForm> = forms.take(20).collect();
            assert!(forms.len() < 10, "{cause:?}: {forms:?}");
            let (last, whole) = forms.split_last().expect("the first");
            assert!(last.is_bare && last.has_key, "{cause:?}: {forms:?}");
            assert!(whole.iter().all(|form| !form.is_bare), "the content goes last: {cause:?}");
        }
    }

    #[test]
    fn a_timestamp_is_replaced_before_it_is_left_out() {
        let forms = std::iter::successors(Some(LetterForm::default()), |form| {
            form.after(RejectionCause::Timestamp, TOPIC_BYTES)
        });
        let timestamps: Vec<_> = forms.map(|form| (form.timestamp, form.is_bare)).collect();
        use LetterTimestamp::{Absent, Present, Source};
        assert_eq!(timestamps, [(Source, false), (Present, false), (Absent, false), (Absent, true)]);
    }

    #[test]
    fn a_letter_is_never_larger_than_its_topic_takes() {
        for (topic_bytes, shrinks, expected) in [
            (TOPIC_BYTES, 0, TOPIC_BYTES),
            (TOPIC_BYTES, 3, 16_384),
            (TOPIC_BYTES, 99, 2_000),
            (500, 0, 500),
            (500, 9, 500),
        ] {
            let form = LetterForm { shrinks, ..LetterForm::default() };
            assert_eq!(form.max_bytes(topic_bytes), expected);
        }
    }
}
