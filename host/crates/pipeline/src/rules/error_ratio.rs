//! The share of failures among the last records, for hosts that end when it is too large.

use std::collections::{HashMap, VecDeque};

use mapper_core::quotation::COMMON_FAILURE;
use mapper_core::shutdown::Halt;
use mapper_core::verdict::Failure;

/// A window over the last records that were judged; a record that was judged twice counts twice.
#[derive(Debug)]
pub(crate) struct ErrorRatio {
    limit: f64,
    size: usize,
    /// Per record, the fingerprint of its failure.
    window: VecDeque<Option<u64>>,
    failed: usize,
    /// By fingerprint: how many are in the window, and one of them in words.
    groups: HashMap<u64, (usize, String)>,
}

/// A share of failures that is too large.
#[derive(Debug, PartialEq)]
pub(crate) struct Exceeded {
    pub(crate) failed: usize,
    pub(crate) of: usize,
    pub(crate) limit: f64,
    /// How many of the failures have the commonest fingerprint, and one of these in words.
    pub(crate) commonest: (usize, String),
}

impl Exceeded {
    /// The end of the host for this share.
    pub(crate) fn halt(&self) -> Halt {
        let Self { failed, of, limit, commonest: (times, words) } = self;
        Halt::failing(format!(
            "{failed} of the last {of} records failed, and {limit} of them are too many (--halt-on-error-ratio, \
             --error-ratio-window){COMMON_FAILURE}{times} times: {words}. Nothing beyond the last commit is done. \
             Repair the plugin or the input, or give another ratio, and start again"
        ))
    }
}

impl ErrorRatio {
    /// A window of so many records, in which this share may not fail.
    pub(crate) fn new(limit: f64, size: usize) -> Self {
        Self { limit, size, window: VecDeque::with_capacity(size), failed: 0, groups: HashMap::new() }
    }

    /// The next record was mapped or skipped.
    pub(crate) fn succeeded(&mut self) {
        self.slide(None);
    }

    /// The next record failed. Returns the share, if it is too large.
    pub(crate) fn failed(&mut self, failure: &Failure<'_>, fingerprint: &str) -> Option<Exceeded> {
        let fingerprint = u64::from_str_radix(fingerprint, 16).unwrap_or_default();
        self.slide(Some(fingerprint));
        self.failed += 1;
        let words = || (0, format!("{}: {}", failure.kind, failure.message));
        self.groups.entry(fingerprint).or_insert_with(words).0 += 1;
        let is_too_large = self.window.len() == self.size && self.failed as f64 >= self.limit * self.size as f64;
        let commonest = self.groups.values().max_by_key(|(times, _)| *times).filter(|_| is_too_large)?;
        Some(Exceeded { failed: self.failed, of: self.size, limit: self.limit, commonest: commonest.clone() })
    }

    fn slide(&mut self, next: Option<u64>) {
        let gone = if self.window.len() == self.size { self.window.pop_front().flatten() } else { None };
        if let Some(gone) = gone {
            self.failed -= 1;
            if let Some((times, _)) = self.groups.get_mut(&gone) {
                *times -= 1;
                if *times == 0 {
                    self.groups.remove(&gone);
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
    fn error_ratio_of_a_window_that_is_not_full_is_ignored() {
        let mut ratio = ErrorRatio::new(0.75, 4);
        assert_eq!(fail(&mut ratio, "a", "0a"), None);
        assert_eq!(fail(&mut ratio, "b", "0b"), None);
        assert_eq!(fail(&mut ratio, "b", "0b"), None);
        ratio.succeeded();
        ratio.succeeded();
        assert_eq!(fail(&mut ratio, "c", "0c"), None);
        let exceeded = fail(&mut ratio, "c", "0c");
        assert_eq!(exceeded, None);
        let exceeded = fail(&mut ratio, "c", "0c").unwrap();
        let expected = Exceeded { failed: 3, of: 4, limit: 0.75, commonest: (3, "rejected: c".to_owned()) };
        assert_eq!(exceeded, expected);
    }

    proptest! {
        #[test]
        fn error_ratio_is_the_share_of_the_last_records(
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
                    let is_too_large = last.len() == size && share as f64 >= limit * size as f64;
                    prop_assert_eq!(fail(&mut ratio, "x", "01").map(|e| e.failed), is_too_large.then_some(share));
                } else {
                    ratio.succeeded();
                }
                prop_assert!(ratio.groups.len() <= size);
            }
        }
    }
}
