//! The main function of a helper process.

#![expect(clippy::disallowed_methods, reason = "standard output is a pipe to the host, not for people")]

use std::ffi::OsString;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use super::symbolize::{IDLE, READY};
use super::{REFUSED, Task, compile, guard, symbolize};
use crate::Effort;
use crate::dwarf::DebugInfo;
use crate::engine::precompile;
use mapper_core::identity::MAX_PLUGIN_BYTES;

/// Runs a helper process; `None` if these are not the arguments of one.
///
/// # Errors
/// The arguments are invalid. The exit code is [`REFUSED`] then.
pub fn serve(arguments: impl IntoIterator<Item = OsString>) -> Option<Result<ExitCode, String>> {
    Some(Task::parse(arguments)?.map(|task| run(&task)))
}

fn run(task: &Task) -> ExitCode {
    if guard::start(task.parent, task.bounds).is_err() {
        return ExitCode::FAILURE;
    }
    // `compile` returns the panic message to the host.
    std::panic::set_hook(Box::new(|_| {}));
    let result = match task.name.as_str() {
        compile::TASK => compile_component(&task.arguments),
        symbolize::TASK => answer_lookups(),
        other => Ok(Err(format!("helper process: unknown task {other:?}"))),
    };
    match result {
        Ok(Ok(output)) => write_out(&output, ExitCode::SUCCESS),
        Ok(Err(reason)) => write_out(reason.as_bytes(), ExitCode::from(REFUSED)),
        Err(_) => ExitCode::FAILURE,
    }
}

fn write_out(output: &[u8], code: ExitCode) -> ExitCode {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(output).and_then(|()| stdout.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The inner result is the serialized component, or the reason of the rejection.
fn compile_component(arguments: &[String]) -> io::Result<Result<Vec<u8>, String>> {
    let effort = match arguments.first().map(String::as_str) {
        Some(compile::ONE_THREAD) => Effort::OneThread,
        _ => Effort::Full,
    };
    let stack_bytes = arguments.get(1).and_then(|text| text.parse().ok());
    let stack_bytes = stack_bytes.ok_or(io::ErrorKind::InvalidInput)?;
    let mut component = Vec::new();
    io::stdin().lock().take(MAX_PLUGIN_BYTES).read_to_end(&mut component)?;
    let code = catch_unwind(AssertUnwindSafe(|| precompile(stack_bytes, &component, effort)));
    Ok(match code {
        Ok(code) => code.map_err(|error| format!("{error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(format!("the compiler panicked: {}", text.unwrap_or_default()))
        }
    })
}

/// Answers lookups until standard input closes or is idle.
fn answer_lookups() -> io::Result<Result<Vec<u8>, String>> {
    let mut stdin = io::stdin().lock();
    let mut length = [0; 8];
    stdin.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length).min(MAX_PLUGIN_BYTES);
    let mut component = Vec::new();
    stdin.by_ref().take(length).read_to_end(&mut component)?;
    let info = DebugInfo::parse(&component);
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    // Parsed at the first request, so that the parsing counts towards its timeout.
    let mut contexts = None;
    loop {
        let mut request = String::new();
        // The host sends one request at a time, so no buffered input hides from `poll`.
        if !is_readable(stdin.as_raw_fd())? || stdin.read_line(&mut request)? == 0 {
            return Ok(Ok(Vec::new()));
        }
        let offsets: Vec<u64> = serde_json::from_str(&request)?;
        let contexts = contexts.get_or_insert_with(|| info.contexts());
        let frames: Vec<_> = offsets.into_iter().map(|offset| contexts.frames(offset)).collect();
        writeln!(stdout, "{}", serde_json::to_string(&frames)?)?;
        stdout.flush()?;
    }
}

/// Whether input arrives before the idle timeout.
fn is_readable(descriptor: i32) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    let timeout = i32::try_from(IDLE.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer refers to one valid, writable entry.
    match unsafe { libc::poll(&raw mut poll, 1, timeout) } {
        -1 => Err(io::Error::last_os_error()),
        ready => Ok(ready > 0),
    }
}
