//! Compiles a component in a helper process: the host's side.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{Bounds, HelperFailure, Process, REFUSED};
use crate::{Effort, Limits};
use mapper_core::bytes::Bytes;

/// Interval of the checks for a shutdown.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Wall clock limit as a multiple of the CPU time limit. A busy machine slows the process down.
const WALL_PER_CPU: u32 = 10;

pub(super) const TASK: &str = "compile";
/// The argument for [`Effort::OneThread`].
pub(super) const ONE_THREAD: &str = "one-thread";
/// The argument for [`Effort::Full`].
pub(super) const ALL_THREADS: &str = "all-threads";

pub(crate) enum Compiled {
    /// The serialized component.
    Code(Vec<u8>),
    Rejected(String),
}

/// Stops when a limit is exceeded or `is_cancelled` returns true.
pub(crate) fn compile(
    program: &Path,
    component: &[u8],
    limits: &Limits,
    effort: Effort,
    is_cancelled: impl Fn() -> bool,
) -> Compiled {
    let bounds = Bounds { cpu: Some(limits.compile_timeout), memory_bytes: limits.compile_memory_bytes };
    let threads = if effort == Effort::OneThread { ONE_THREAD } else { ALL_THREADS };
    let arguments = [threads.to_owned(), limits.stack_bytes.to_string()];
    let deadline = Instant::now() + limits.compile_timeout * WALL_PER_CPU;
    let result = Process::start(program, TASK, bounds, &arguments).and_then(|process| {
        run(process, component, limits.compile_memory_bytes, || is_cancelled() || Instant::now() >= deadline)
    });
    match result {
        Ok(Some((status, output))) => match status.code() {
            Some(0) => Compiled::Code(output),
            Some(code) if code == i32::from(REFUSED) => {
                Compiled::Rejected(format!("not valid WebAssembly: {}", String::from_utf8_lossy(&output)))
            }
            _ => Compiled::Rejected(describe(HelperFailure::from_status(status), limits)),
        },
        Ok(None) if is_cancelled() => {
            Compiled::Rejected("the compilation was cancelled: the host is shutting down".to_owned())
        }
        Ok(None) => Compiled::Rejected(describe(HelperFailure::OutOfTime, limits)),
        Err(error) => Compiled::Rejected(format!(
            "failed to start the helper process that compiles: {}: {error}. Allow the host to execute this file, or raise \
             the limit of processes",
            program.display()
        )),
    }
}

fn describe(failure: HelperFailure, limits: &Limits) -> String {
    match failure {
        HelperFailure::OutOfMemory => format!(
            "compiling exceeded the memory limit: {} (--compile-memory). Make the plugin smaller, or raise the limit",
            Bytes(limits.compile_memory_bytes)
        ),
        HelperFailure::OutOfTime => format!(
            "compiling exceeded the CPU time limit: {} (--compile-timeout). Make the plugin smaller, or raise the limit",
            humantime::format_duration(limits.compile_timeout)
        ),
        HelperFailure::Exited(status) => {
            format!("the compiler crashed ({status}). Build the plugin again with a current toolchain")
        }
    }
}

/// Returns the exit status and the output of the process; `None` if it was cancelled.
fn run(
    mut process: Process,
    component: &[u8],
    max_output: u64,
    is_cancelled: impl Fn() -> bool,
) -> io::Result<Option<(ExitStatus, Vec<u8>)>> {
    let pipes = (process.0.stdin.take(), process.0.stdout.take());
    let (Some(stdin), Some(stdout)) = pipes else { return Err(io::ErrorKind::BrokenPipe.into()) };
    let (sender, exchanged) = mpsc::channel();
    std::thread::scope(|scope| {
        std::thread::Builder::new().name("compile".into()).spawn_scoped(scope, move || {
            // After a cancellation there is no receiver.
            let _ = sender.send(exchange(stdin, stdout, component, max_output));
        })?;
        loop {
            match exchanged.recv_timeout(POLL_INTERVAL) {
                Ok(output) => {
                    let output = output?;
                    return Ok(Some((process.wait()?, output)));
                }
                Err(RecvTimeoutError::Timeout) if is_cancelled() => {
                    // The thread waits for the pipes, which close with the process.
                    drop(process);
                    return Ok(None);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    })
}

fn exchange(mut stdin: ChildStdin, stdout: ChildStdout, component: &[u8], max_output: u64) -> io::Result<Vec<u8>> {
    // If the process exits early, its exit code has the reason.
    let _ = stdin.write_all(component);
    drop(stdin);
    let mut output = Vec::new();
    stdout.take(max_output).read_to_end(&mut output)?;
    Ok(output)
}
