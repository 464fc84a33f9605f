//! From what wasmtime says of a call to the kind of failure, in words.

use std::sync::Arc;

use wasmtime::{Trap, WasmBacktrace};

use super::guest_log::GuestLog;
use super::limits::{Denied, Limits};
use super::symbols::Symbols;
use mapper_core::bytes::Bytes;
use mapper_core::verdict::{Failure, FailureKind};

/// How wasmtime begins to say that [`Limits::output_bytes`] are used up; it has no type for it that others can see.
const TOO_MUCH_DATA: &str = "too much data is being copied between the host and the guest";

/// Whether the guest came to its end and what it returned can't be read, so that it doesn't count where it says it was.
pub(super) fn is_of_the_answer(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<Trap>().is_none() && !error.is::<WasmBacktrace>()
}

/// What the failures of an instance are told with.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) log: GuestLog,
    pub(super) limits: Limits,
    pub(super) symbols: Arc<Symbols>,
}

impl Teller {
    /// The failure of a call, with what the guest had written.
    pub(super) fn tell(&self, error: &wasmtime::Error, denied: Option<Denied>) -> Failure<'static> {
        let written = self.log.take_kept();
        let (kind, mut message) = cause(error, denied, &self.limits);
        if let Some(said) = written.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("note:")) {
            message = format!("{message}; the guest's last words: {said}");
        }
        let backtrace = error.downcast_ref::<WasmBacktrace>().map(|trace| self.symbols.backtrace(trace));
        let details =
            [backtrace.as_deref().unwrap_or_default(), written.trim_end()].into_iter().filter(|part| !part.is_empty());
        Failure { kind, message: message.into(), details: details.collect::<Vec<_>>().join("\n").into() }
    }
}

fn cause(error: &wasmtime::Error, denied: Option<Denied>, limits: &Limits) -> (FailureKind, String) {
    let trap = error.downcast_ref::<Trap>();
    let cause = error.root_cause().to_string();
    if trap == Some(&Trap::Interrupt) {
        return (FailureKind::Timeout, "the guest took longer than it may".to_owned());
    }
    if let Some(denied) = denied {
        return (FailureKind::OutOfMemory, denied.text(limits));
    }
    if cause.starts_with(TOO_MUCH_DATA) {
        let most = Bytes(limits.output_bytes as u64);
        return match is_of_the_answer(error) {
            true => (FailureKind::Oversize, format!("the plugin returned more than it may ({most}; --output-limit)")),
            false => (
                FailureKind::Trap,
                format!("the plugin handed more to the host in one call than it may ({most}; --output-limit)"),
            ),
        };
    }
    match trap {
        Some(trap) => (FailureKind::Trap, trap.to_string()),
        None if is_of_the_answer(error) => {
            (FailureKind::InvalidOutput, format!("what the plugin returned can't be read: {cause}"))
        }
        None => (FailureKind::Trap, cause),
    }
}
