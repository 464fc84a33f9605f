//! Rate limit for the log of a plugin, over all of its instances, so that it can't fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines per second.
pub(super) const MAX_LINES: u64 = 100;
/// Bytes per second.
pub(super) const MAX_BYTES: usize = 32 << 10;

/// All instances of a plugin share it, so that replacing an instance doesn't reset the limit.
#[derive(Default)]
pub(super) struct LineBudget(Mutex<Usage>);

#[derive(Default)]
struct Usage {
    window_start: Option<Instant>,
    lines: u64,
    bytes: usize,
    dropped: u64,
}

impl LineBudget {
    /// Whether a line may be written. Counts the rejected lines.
    pub(super) fn admits(&self, bytes: usize, now: Instant) -> bool {
        let mut usage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if usage.is_over(now) {
            (usage.window_start, usage.lines, usage.bytes) = (Some(now), 0, 0);
        }
        let admitted = usage.lines < MAX_LINES && usage.bytes.saturating_add(bytes) <= MAX_BYTES;
        if admitted {
            usage.lines += 1;
            usage.bytes += bytes;
        } else {
            usage.dropped += 1;
        }
        admitted
    }

    /// The number of rejected lines since the last call, once their second is over.
    pub(super) fn take_dropped(&self, now: Instant) -> u64 {
        let mut usage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if usage.is_over(now) { std::mem::take(&mut usage.dropped) } else { 0 }
    }
}

impl Usage {
    fn is_over(&self, now: Instant) -> bool {
        self.window_start.is_none_or(|second| now.saturating_duration_since(second) >= Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bytes_per_second_are_limited_and_dropped_lines_are_counted() {
        let budget = LineBudget::default();
        let start = Instant::now();
        let admitted = |bytes, count, now| (0..count).filter(|_| budget.admits(bytes, now)).count() as u64;
        assert_eq!(admitted(10, 250, start), MAX_LINES);
        assert_eq!(budget.take_dropped(start), 0);
        let later = start + Duration::from_secs(1);
        assert_eq!((budget.take_dropped(later), budget.take_dropped(later)), (250 - MAX_LINES, 0));
        assert_eq!(admitted(MAX_BYTES / 4, 10, later), 4);
        assert_eq!(admitted(0, 1, later), 1);
        assert!(!budget.admits(MAX_BYTES + 1, later + Duration::from_secs(1)));
    }
}
