//! The reduced forms of a dead letter. Each rejection by the broker leads to the next form.

use crate::rejection::RejectionCause;

/// The timestamp of a dead letter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadLetterTimestamp {
    /// The timestamp of the record, if the topic accepts it.
    #[default]
    Source,
    /// The time of the send.
    Present,
    /// No timestamp, which every broker accepts.
    Absent,
}

/// The form of a dead letter. The default has all parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadLetterForm {
    pub(super) timestamp: DeadLetterTimestamp,
    /// Whether it has a key even if the topic does not require one.
    pub(super) has_key: bool,
    /// The number of divisions of its size by [`Self::SHRINK_FACTOR`].
    pub(super) shrinks: u32,
    /// Whether it has only the position of its record.
    pub(super) is_bare: bool,
}

impl DeadLetterForm {
    /// The divisor of the limit after the broker rejected a dead letter within the known limit.
    const SHRINK_FACTOR: usize = 4;
    /// A dead letter below this size is not rejected for its size.
    const MIN_BYTES: usize = 2_000;

    /// The limit of a dead letter, from the limit of its topic.
    pub(super) fn max_bytes(self, topic_bytes: usize) -> usize {
        let divisor = Self::SHRINK_FACTOR.saturating_pow(self.shrinks);
        (topic_bytes / divisor).max(Self::MIN_BYTES).min(topic_bytes)
    }

    /// The reductions of both forms.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            timestamp: self.timestamp.max(other.timestamp),
            has_key: self.has_key || other.has_key,
            shrinks: self.shrinks.max(other.shrinks),
            is_bare: self.is_bare || other.is_bare,
        }
    }

    /// The next form after a rejection; `None` if no form is left.
    pub(super) fn after(self, cause: RejectionCause, topic_bytes: usize) -> Option<Self> {
        let bare = (!self.is_bare).then_some(Self { is_bare: true, has_key: true, ..self });
        match (cause, self.timestamp) {
            (RejectionCause::TooLarge, _) => {
                let smaller = Self { shrinks: self.shrinks + 1, ..self };
                if smaller.max_bytes(topic_bytes) < self.max_bytes(topic_bytes) { Some(smaller) } else { bare }
            }
            (RejectionCause::Timestamp, DeadLetterTimestamp::Source) => {
                Some(Self { timestamp: DeadLetterTimestamp::Present, ..self })
            }
            (RejectionCause::Timestamp, DeadLetterTimestamp::Present) => {
                Some(Self { timestamp: DeadLetterTimestamp::Absent, ..self })
            }
            (RejectionCause::Timestamp, DeadLetterTimestamp::Absent) => bare,
            (RejectionCause::Other, _) if !self.has_key => Some(Self { has_key: true, ..self }),
            (RejectionCause::Other, DeadLetterTimestamp::Source) => {
                Some(Self { timestamp: DeadLetterTimestamp::Present, ..self })
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
    fn each_rejection_reduces_the_form_until_none_is_left() {
        for cause in [RejectionCause::TooLarge, RejectionCause::Timestamp, RejectionCause::Other] {
            let forms = std::iter::successors(Some(DeadLetterForm::default()), |form| form.after(cause, TOPIC_BYTES));
            let forms: Vec<DeadLetterForm> = forms.take(20).collect();
            assert!(forms.len() < 10, "{cause:?}: {forms:?}");
            let (last, whole) = forms.split_last().expect("a first form");
            assert!(last.is_bare && last.has_key, "{cause:?}: {forms:?}");
            assert!(whole.iter().all(|form| !form.is_bare), "the content is dropped last: {cause:?}");
        }
    }

    #[test]
    fn timestamp_is_replaced_before_it_is_dropped() {
        let forms = std::iter::successors(Some(DeadLetterForm::default()), |form| {
            form.after(RejectionCause::Timestamp, TOPIC_BYTES)
        });
        let timestamps: Vec<_> = forms.map(|form| (form.timestamp, form.is_bare)).collect();
        use DeadLetterTimestamp::{Absent, Present, Source};
        assert_eq!(timestamps, [(Source, false), (Present, false), (Absent, false), (Absent, true)]);
    }

    #[test]
    fn form_never_exceeds_the_limit_of_the_topic() {
        for (topic_bytes, shrinks, expected) in [
            (TOPIC_BYTES, 0, TOPIC_BYTES),
            (TOPIC_BYTES, 3, 16_384),
            (TOPIC_BYTES, 99, 2_000),
            (500, 0, 500),
            (500, 9, 500),
        ] {
            let form = DeadLetterForm { shrinks, ..DeadLetterForm::default() };
            assert_eq!(form.max_bytes(topic_bytes), expected);
        }
    }
}
