//! Looks up files and lines of a component in a helper process: the host's side.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{Bounds, Process};
use crate::dwarf::Frame;

pub(super) const TASK: &str = "symbolize";
/// The first line of output, after the process has read the component.
pub(super) const READY: &str = "ready";
/// The process exits after this time without a request.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// Generous, because a busy machine starts processes slowly.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit for the frames of one backtrace.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const MEMORY_BYTES: u64 = 256 << 20;
/// Larger than any answer, because [`crate::dwarf`] limits the frames and their names.
const MAX_ANSWER_BYTES: u64 = 8 << 20;

/// A helper process that has the debug information of one component.
pub(crate) struct Symbolizer {
    requests: Sender<String>,
    answers: Receiver<String>,
    _process: Process,
}

impl Symbolizer {
    /// Starts the process and waits until it is ready.
    ///
    /// # Errors
    /// The process can't be started, or is not ready in time.
    pub(crate) fn start(program: &Path, component: Arc<[u8]>) -> Result<Self, String> {
        let bounds = Bounds { cpu: None, memory_bytes: MEMORY_BYTES + component.len() as u64 };
        let failed = |error: io::Error| format!("failed to start the helper process: {error}");
        let mut process = Process::start(program, TASK, bounds, &[]).map_err(failed)?;
        let pipes = (process.0.stdin.take(), process.0.stdout.take());
        let (Some(stdin), Some(stdout)) = pipes else { return Err("the helper process has no pipes".to_owned()) };
        let (requests, request_receiver) = channel();
        let (answer_sender, answers) = channel();
        std::thread::Builder::new()
            .name("symbolize".into())
            // The thread ends with the process. After an error the channel closes, which `answer` reports.
            .spawn(move || drop(exchange(Pipes { stdin, stdout }, &component, &request_receiver, &answer_sender)))
            .map_err(failed)?;
        let symbolizer = Self { requests, answers, _process: process };
        match symbolizer.answer(START_TIMEOUT)?.trim_end() {
            READY => Ok(symbolizer),
            other => Err(format!("unexpected answer of the helper process: {other:?}")),
        }
    }

    /// The frames at each offset, innermost inlined function first.
    ///
    /// # Errors
    /// The process failed. Don't use this symbolizer again.
    pub(crate) fn look_up(&self, offsets: &[u64]) -> Result<Vec<Vec<Frame>>, String> {
        let request = serde_json::to_string(offsets).map_err(|error| error.to_string())?;
        self.requests.send(request).map_err(|_| "the helper process has exited".to_owned())?;
        let answer = self.answer(ANSWER_TIMEOUT)?;
        serde_json::from_str(&answer).map_err(|error| format!("malformed answer of the helper process: {error}"))
    }

    fn answer(&self, timeout: Duration) -> Result<String, String> {
        self.answers.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                format!("the helper process exceeded its timeout of {}", humantime::format_duration(timeout))
            }
            RecvTimeoutError::Disconnected => "the helper process crashed or exceeded its memory limit".to_owned(),
        })
    }
}

struct Pipes {
    stdin: ChildStdin,
    stdout: ChildStdout,
}

/// Sends the component, then forwards each request and its answer.
fn exchange(pipes: Pipes, component: &[u8], requests: &Receiver<String>, answers: &Sender<String>) -> io::Result<()> {
    let Pipes { mut stdin, stdout } = pipes;
    let mut stdout = BufReader::new(stdout);
    stdin.write_all(&(component.len() as u64).to_le_bytes())?;
    stdin.write_all(component)?;
    loop {
        let mut answer = String::new();
        stdout.by_ref().take(MAX_ANSWER_BYTES).read_line(&mut answer)?;
        if !answer.ends_with('\n') || answers.send(answer).is_err() {
            return Ok(());
        }
        let Ok(request) = requests.recv() else { return Ok(()) };
        writeln!(stdin, "{request}")?;
    }
}
