//! The trace of a run: a line for each event, with its virtual time.

use std::cell::RefCell;
use std::fmt::Display;
use std::time::Duration;

/// Keeps lines if it is asked to. A run without a trace does not format them.
#[derive(Default)]
pub(crate) struct Trace(Option<RefCell<Vec<String>>>);

impl Trace {
    pub(crate) fn new(is_kept: bool) -> Self {
        Self(is_kept.then(RefCell::default))
    }

    pub(crate) fn add<T: Display>(&self, now: Duration, line: impl FnOnce() -> T) {
        if let Some(lines) = &self.0 {
            lines.borrow_mut().push(format!("{:>10.3} {}", now.as_secs_f64(), line()));
        }
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.as_ref().map(RefCell::take).unwrap_or_default()
    }
}
