//! Compiles a component in a helper process, from the host's side.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{Bounds, Failed, Process, REFUSED};
use crate::{Effort, Limits};
use mapper_core::bytes::Bytes;

/// How often it is asked whether the host is ending.
const POLL: Duration = Duration::from_millis(20);
/// How much longer than its CPU time a helper process may take, as it waits for a busy machine.
const CLOCK_PER_CPU: u32 = 10;

/// The task of a helper process that compiles.
pub(super) const TASK: &str = "compile";
/// The argument for [`Effort::OneThread`].
pub(super) const ONE_THREAD: &str = "one-thread";
/// The argument for [`Effort::Full`].
pub(super) const ALL_THREADS: &str = "all-threads";

/// What came of it.
pub(crate) enum Compiled {
    /// The serialized component.
    Code(Vec<u8>),
    /// Why there is none.
    Refused(String),
}

/// Compiles a component, unless it takes too much or `is_cancelled`.
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
    let deadline = Instant::now() + limits.compile_timeout * CLOCK_PER_CPU;
    let result = Process::start(program, TASK, bounds, &arguments).and_then(|process| {
        run(process, component, limits.compile_memory_bytes, || is_cancelled() || Instant::now() >= deadline)
    });
    match result {
        Ok(Some((status, output))) => match status.code() {
            Some(0) => Compiled::Code(output),
            Some(code) if code == i32::from(REFUSED) => {
                Compiled::Refused(format!("it is not valid WebAssembly: {}", String::from_utf8_lossy(&output)))
            }
            _ => Compiled::Refused(exceeded(Failed::of(status), limits)),
        },
        Ok(None) if is_cancelled() => Compiled::Refused("compiling it was cancelled: the host is ending".to_owned()),
        Ok(None) => Compiled::Refused(exceeded(Failed::OutOfTime, limits)),
        Err(error) => Compiled::Refused(format!(
            "it can't be compiled: no helper process can be started from {}: {error}. Allow this program to execute itself, \
             and more processes if there is a limit",
            program.display()
        )),
    }
}

fn exceeded(failed: Failed, limits: &Limits) -> String {
    match failed {
        Failed::OutOfMemory => format!(
            "it takes more memory to compile than allowed: {} (--compile-memory). Make it smaller, or raise the limit",
            Bytes(limits.compile_memory_bytes)
        ),
        Failed::OutOfTime => format!(
            "it takes longer to compile than allowed: {} of CPU time (--compile-timeout). Make it smaller, or raise the limit",
            humantime::format_duration(limits.compile_timeout)
        ),
        Failed::Ended(status) => {
            format!(
                "it can't be compiled: the compiler crashed on it ({status}). Build it again, with a current toolchain"
            )
        }
    }
}

/// Hands the component over and takes what comes back, with how the process ended; `None` if it was cancelled.
fn run(
    mut process: Process,
    component: &[u8],
    most: u64,
    is_cancelled: impl Fn() -> bool,
) -> io::Result<Option<(ExitStatus, Vec<u8>)>> {
    let pipes = (process.0.stdin.take(), process.0.stdout.take());
    let (Some(stdin), Some(stdout)) = pipes else { return Err(io::ErrorKind::BrokenPipe.into()) };
    let (sender, exchanged) = mpsc::channel();
    std::thread::scope(|scope| {
        std::thread::Builder::new().name("compile".into()).spawn_scoped(scope, move || {
            // The other end is gone if it was cancelled.
            let _ = sender.send(exchange(stdin, stdout, component, most));
        })?;
        loop {
            match exchanged.recv_timeout(POLL) {
                Ok(output) => {
                    let output = output?;
                    return Ok(Some((process.wait()?, output)));
                }
                Err(RecvTimeoutError::Timeout) if is_cancelled() => {
                    // With the process go its ends of the pipes, for which the thread waits.
                    drop(process);
                    return Ok(None);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    })
}

fn exchange(mut stdin: ChildStdin, stdout: ChildStdout, component: &[u8], most: u64) -> io::Result<Vec<u8>> {
    // A process that ends early says why by its exit code.
    let _ = stdin.write_all(component);
    drop(stdin);
    let mut output = Vec::new();
    stdout.take(most).read_to_end(&mut output)?;
    Ok(output)
}
