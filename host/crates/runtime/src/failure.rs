//! Classifies wasmtime errors into failure kinds and describes them.

use std::sync::Arc;

use wasmtime::{Trap, WasmBacktrace};

use super::guest_log::GuestLog;
use super::limits::{Denial, Limits};
use super::symbols::Symbols;
use mapper_core::bytes::Bytes;
use mapper_core::verdict::{Failure, FailureKind};

/// Prefix of the wasmtime error for an exceeded [`Limits::output_bytes`]. Wasmtime exports no type for this error.
const OUTPUT_LIMIT_PREFIX: &str = "too much data is being copied between the host and the guest";

/// Whether the guest returned and its return value is malformed. The guest's progress report is then meaningless.
pub(super) fn is_return_value_error(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<Trap>().is_none() && !error.is::<WasmBacktrace>()
}

#[derive(Clone)]
pub(super) struct FailureDescriber {
    pub(super) log: GuestLog,
    pub(super) limits: Limits,
    pub(super) symbols: Arc<Symbols>,
}

impl FailureDescriber {
    /// Describes a failed call, with the guest's latest output about the record.
    pub(super) fn describe(&self, error: &wasmtime::Error, denial: Option<Denial>) -> Failure<'static> {
        let tail = self.log.take_tail();
        let (kind, mut message) = classify(error, denial, &self.limits);
        if let Some(last) = tail.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("note:")) {
            message = format!("{message}; guest output (tail): {last}");
        }
        let backtrace = error.downcast_ref::<WasmBacktrace>().map(|trace| self.symbols.format_backtrace(trace));
        let details =
            [backtrace.as_deref().unwrap_or_default(), tail.trim_end()].into_iter().filter(|part| !part.is_empty());
        Failure { kind, message: message.into(), details: details.collect::<Vec<_>>().join("\n").into() }
    }
}

fn classify(error: &wasmtime::Error, denial: Option<Denial>, limits: &Limits) -> (FailureKind, String) {
    let trap = error.downcast_ref::<Trap>();
    let cause = error.root_cause().to_string();
    if trap == Some(&Trap::Interrupt) {
        return (
            FailureKind::Timeout,
            format!(
                "the guest exceeded its time limit ({}; --record-timeout)",
                humantime::format_duration(limits.record_timeout)
            ),
        );
    }
    if let Some(denial) = denial {
        return (FailureKind::OutOfMemory, denial.message(limits));
    }
    if cause.starts_with(OUTPUT_LIMIT_PREFIX) {
        let limit = Bytes(limits.output_bytes as u64);
        return match is_return_value_error(error) {
            true => (
                FailureKind::Oversize,
                format!("the return value of the plugin exceeds the limit ({limit}; --output-limit)"),
            ),
            false => (
                FailureKind::Trap,
                format!("the plugin passed more data to the host in one call than the limit ({limit}; --output-limit)"),
            ),
        };
    }
    match trap {
        Some(trap) => (FailureKind::Trap, trap.to_string()),
        None if is_return_value_error(error) => {
            (FailureKind::InvalidOutput, format!("the return value of the plugin is malformed: {cause}"))
        }
        None => (FailureKind::Trap, cause),
    }
}
