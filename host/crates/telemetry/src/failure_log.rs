//! Logs dead letters with a rate limit.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mapper_core::record::Record;
use mapper_core::verdict::Failure;

/// The period of the limits.
const WINDOW: Duration = Duration::from_secs(60);
/// The first dead letters of a window are always logged.
const FIRST_LINES: usize = 5;
/// Later ones are logged if their fingerprint is new in the window, up to this number of lines in total.
const MOST_LINES: usize = 25;
/// Bytes of a failure's message in a log line.
const ERROR_BYTES: usize = 300;

/// Logs dead letters, and counts those that it does not log.
#[derive(Debug, Default)]
pub struct FailureLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    window: Option<Window>,
    is_muted: bool,
}

#[derive(Debug)]
struct Window {
    started: Instant,
    lines: usize,
    fingerprints: HashSet<String>,
    suppressed: u64,
}

impl Window {
    fn starting(now: Instant) -> Self {
        Self { started: now, lines: 0, fingerprints: HashSet::new(), suppressed: 0 }
    }

    /// Whether a line is due for a failure with this fingerprint.
    fn admit(&mut self, fingerprint: &str) -> bool {
        let is_due = self.lines < FIRST_LINES || self.lines < MOST_LINES && !self.fingerprints.contains(fingerprint);
        if is_due {
            self.lines += 1;
            self.fingerprints.insert(fingerprint.to_owned());
        } else {
            self.suppressed += 1;
        }
        is_due
    }
}

impl FailureLog {
    /// A record becomes a dead letter.
    pub fn failed(&self, record: Record<'_>, failure: &Failure<'_>, fingerprint: &str) {
        if self.admit(fingerprint) {
            let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
            let (kind, error) = (failure.kind.name(), first_line(&failure.message));
            tracing::warn!(topic, partition, offset, kind, fingerprint, error, "dead letter");
        }
    }

    fn admit(&self, fingerprint: &str) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !state.is_muted && state.window.get_or_insert_with(|| Window::starting(Instant::now())).admit(fingerprint)
    }

    /// Stops logging: the demo shows the dead letters itself.
    pub fn mute(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_muted = true;
    }

    /// Ends the window if its time is over.
    pub fn tick(&self, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = state.window.take_if(|window| now.saturating_duration_since(window.started) >= WINDOW);
        drop(state);
        if let Some(window) = ended {
            log_suppressed(&window);
        }
    }

    /// Ends the window now.
    pub fn finish(&self) {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner).window.take();
        if let Some(window) = ended {
            log_suppressed(&window);
        }
    }
}

fn log_suppressed(window: &Window) {
    if window.suppressed > 0 {
        let (suppressed, seconds) = (window.suppressed, window.started.elapsed().as_secs());
        tracing::warn!(suppressed, seconds, "more dead letters were not logged; the metrics count all");
    }
}

/// The first line of a message, cut. The dead letter has the traceback.
fn first_line(message: &str) -> &str {
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    &line[..line.floor_char_boundary(ERROR_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_admits_first_lines_and_new_fingerprints_and_counts_the_rest() {
        let mut window = Window::starting(Instant::now());
        let same = (0..100).filter(|_| window.admit("a")).count();
        assert_eq!((same, window.suppressed), (FIRST_LINES, 95));
        assert!(window.admit("b") && !window.admit("b") && !window.admit("a"));
        let others = (0..100).filter(|number| window.admit(&format!("{number}"))).count();
        assert_eq!(FIRST_LINES + 1 + others, MOST_LINES);
        assert_eq!(window.suppressed, 97 + 100 - others as u64);
    }

    #[test]
    fn new_window_starts_after_the_period() {
        let log = FailureLog::default();
        let start = Instant::now();
        let admitted = |log: &FailureLog| (0..100).filter(|_| log.admit("a")).count();
        assert_eq!(admitted(&log), FIRST_LINES);
        log.tick(start);
        assert_eq!(admitted(&log), 0);
        log.tick(Instant::now() + WINDOW);
        assert_eq!(admitted(&log), FIRST_LINES);
        log.finish();
        assert_eq!(admitted(&log), FIRST_LINES);
        log.mute();
        log.finish();
        assert_eq!(admitted(&log), 0);
    }

    #[test]
    fn error_is_the_first_line_of_the_message() {
        for (message, line) in [
            ("", ""),
            ("no", "no"),
            ("\n \nValueError: bad\nTraceback (most recent call last):\n  File", "ValueError: bad"),
            ("a\r\nb", "a"),
        ] {
            assert_eq!(first_line(message), line, "{message:?}");
        }
        assert_eq!(first_line(&"ä".repeat(500)), "ä".repeat(ERROR_BYTES / 2));
    }
}
