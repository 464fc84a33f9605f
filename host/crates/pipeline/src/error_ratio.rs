//! The share of failures among the last records, for hosts that are to end when it is too large.

use std::collections::{HashMap, VecDeque};

use mapper_core::verdict::Failure;

/// A window over the last records that were judged; a record that was judged twice is in it twice.
#[derive(Debug)]
pub(super) struct ErrorRatio {
    limit: f64,
    size: usize,
    /// Per record, the fingerprint of its failure.
    window: VecDeque<Option<u64>>,
    failed: usize,
    /// By fingerprint: how many are in the window, and one of them in words.
    makings: HashMap<u64, (usize, String)>,
}

/// What there is to say of a share that is too large.
#[derive(Debug, PartialEq)]
pub(super) struct Exceeded {
    pub(super) failed: usize,
    pub(super) of: usize,
    pub(super) limit: f64,
    /// How many of the failures are of the commonest making, and one of these in words.
    pub(super) commonest: (usize, String),
}

impl ErrorRatio {
    /// A window of so many records, in which this share may not fail.
    pub(super) fn new(limit: f64, size: usize) -> Self {
        Self { limit, size, window: VecDeque::with_capacity(size), failed: 0, makings: HashMap::new() }
    }

    /// The next record was mapped or skipped.
    pub(super) fn passed(&mut self) {
        self.slide(None);
    }

    /// The next record failed. Tells whether that is too much.
    pub(super) fn failed(&mut self, failure: &Failure<'_>, fingerprint: &str) -> Option<Exceeded> {
        let fingerprint = u64::from_str_radix(fingerprint, 16).unwrap_or_default();
        self.slide(Some(fingerprint));
        self.failed += 1;
        let words = || (0, format!("{}: {}", failure.kind, failure.message));
        self.makings.entry(fingerprint).or_insert_with(words).0 += 1;
        let too_much = self.window.len() == self.size && self.failed as f64 >= self.limit * self.size as f64;
        let commonest = self.makings.values().max_by_key(|(times, _)| *times).filter(|_| too_much)?;
        Some(Exceeded { failed: self.failed, of: self.size, limit: self.limit, commonest: commonest.clone() })
    }

    fn slide(&mut self, next: Option<u64>) {
        let gone = if self.window.len() == self.size { self.window.pop_front().flatten() } else { None };
        if let Some(gone) = gone {
            self.failed -= 1;
            if let Some((times, _)) = self.makings.get_mut(&gone) {
                *times -= 1;
                if *times == 0 {
                    self.makings.remove(&gone);
                }
            }
        }
        self.window.push_back(next);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use mapper_core::verdict::FailureKind;

    fn fail(ratio: &mut ErrorRatio, message: &str, fingerprint: &str) -> Option<Exceeded> {
        ratio.failed(&Failure::new(FailureKind::Rejected, message), fingerprint)
    }

    #[test]
    fn only_a_full_window_counts_and_old_records_leave_it() {
        let mut ratio = ErrorRatio::new(0.75, 4);
        assert_eq!(fail(&mut ratio, "a", "0a"), None);
        assert_eq!(fail(&mut ratio, "b", "0b"), None);
        assert_eq!(fail(&mut ratio, "b", "0b"), None);
        ratio.passed();
        ratio.passed();
        assert_eq!(fail(&mut ratio, "c", "0c"), None);
        let exceeded = fail(&mut ratio, "c", "0c");
        assert_eq!(exceeded, None);
        let exceeded = fail(&mut ratio, "c", "0c").unwrap();
        let expected = Exceeded { failed: 3, of: 4, limit: 0.75, commonest: (3, "rejected: c".to_owned()) };
        assert_eq!(exceeded, expected);
    }

    proptest! {
        #[test]
        fn it_is_the_share_of_the_last_records(
            limit in 1_u32..=8,
            size in 1_usize..9,
            failed in proptest::collection::vec(any::<bool>(), 0..80),
        ) {
            let limit = f64::from(limit) / 8.0;
            let mut ratio = ErrorRatio::new(limit, size);
            for at in 0..failed.len() {
                let last = &failed[(at + 1).saturating_sub(size)..=at];
                let share = last.iter().filter(|failed| **failed).count();
                if failed[at] {
                    let too_much = last.len() == size && share as f64 >= limit * size as f64;
                    prop_assert_eq!(fail(&mut ratio, "x", "01").map(|e| e.failed), too_much.then_some(share));
                } else {
                    ratio.passed();
                }
                prop_assert!(ratio.makings.len() <= size);
            }
        }
    }
}
