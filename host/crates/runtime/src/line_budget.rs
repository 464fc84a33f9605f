//! How much a plugin may write to the host's log: so much a second, all of its instances together, so that it can't fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most lines of a second.
pub(super) const MAX_LINES: u64 = 100;
/// The most bytes of a second.
pub(super) const MAX_BYTES: usize = 32 << 10;

/// Shared by all instances of a plugin: one that is renewed again and again has no more than one that lives on.
#[derive(Default)]
pub(super) struct LineBudget(Mutex<Spent>);

#[derive(Default)]
struct Spent {
    second: Option<Instant>,
    lines: u64,
    bytes: usize,
    left_out: u64,
}

impl LineBudget {
    /// Whether a line of that many bytes may be written. One that may not is counted.
    pub(super) fn admits(&self, bytes: usize, now: Instant) -> bool {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.is_over(now) {
            (spent.second, spent.lines, spent.bytes) = (Some(now), 0, 0);
        }
        let admitted = spent.lines < MAX_LINES && spent.bytes.saturating_add(bytes) <= MAX_BYTES;
        if admitted {
            spent.lines += 1;
            spent.bytes += bytes;
        } else {
            spent.left_out += 1;
        }
        admitted
    }

    /// How many lines were left out since this was asked last, once the second is over in which they were.
    pub(super) fn left_out(&self, now: Instant) -> u64 {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.is_over(now) { std::mem::take(&mut spent.left_out) } else { 0 }
    }
}

impl Spent {
    fn is_over(&self, now: Instant) -> bool {
        self.second.is_none_or(|second| now.saturating_duration_since(second) >= Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_bytes_and_tells_what_it_left_out() {
        let budget = LineBudget::default();
        let start = Instant::now();
        let admitted = |bytes, count, now| (0..count).filter(|_| budget.admits(bytes, now)).count() as u64;
        assert_eq!(admitted(10, 250, start), MAX_LINES);
        assert_eq!(budget.left_out(start), 0);
        let later = start + Duration::from_secs(1);
        assert_eq!((budget.left_out(later), budget.left_out(later)), (250 - MAX_LINES, 0));
        assert_eq!(admitted(MAX_BYTES / 4, 10, later), 4);
        assert_eq!(admitted(0, 1, later), 1);
        assert!(!budget.admits(MAX_BYTES + 1, later + Duration::from_secs(1)));
    }
}
