//! Looks up files and lines of a component in a helper process, from the host's side.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{Bounds, Process};
use crate::dwarf::Frame;

/// The task of a helper process that looks up.
pub(super) const TASK: &str = "symbolize";
/// What such a process writes when it has read the component.
pub(super) const READY: &str = "ready";
/// How long it may wait for something to look up.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// How long it may take to start, on a busy machine too.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to look up the frames of one backtrace.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const MEMORY_BYTES: u64 = 256 << 20;
/// More than the longest answer has: [`crate::dwarf`] bounds the frames and their names.
const MAX_ANSWER_BYTES: u64 = 8 << 20;

/// A helper process that has the debug information of one component.
pub(crate) struct Symbolizer {
    requests: Sender<String>,
    answers: Receiver<String>,
    _process: Process,
}

impl Symbolizer {
    /// Starts one, and waits until it is ready.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn start(program: &Path, component: Arc<[u8]>) -> Result<Self, String> {
        let bounds = Bounds { cpu: None, memory_bytes: MEMORY_BYTES + component.len() as u64 };
        let failed = |error: io::Error| format!("no helper process can be started: {error}");
        let mut process = Process::start(program, TASK, bounds, &[]).map_err(failed)?;
        let pipes = (process.0.stdin.take(), process.0.stdout.take());
        let (Some(stdin), Some(stdout)) = pipes else { return Err("the helper process has no pipes".to_owned()) };
        let (requests, asked) = channel();
        let (answered, answers) = channel();
        std::thread::Builder::new()
            .name("symbolize".into())
            // It ends with the process. An error shows as the answer that is missing.
            .spawn(move || drop(exchange((stdin, stdout), &component, &asked, &answered)))
            .map_err(failed)?;
        let symbolizer = Self { requests, answers, _process: process };
        match symbolizer.answer(START_TIMEOUT)?.trim_end() {
            READY => Ok(symbolizer),
            other => Err(format!("the helper process answers {other:?}")),
        }
    }

    /// The frames at each of these offsets, the innermost of those that were inlined first.
    ///
    /// # Errors
    /// Why there is no answer. The process is of no more use then.
    pub(crate) fn look_up(&self, offsets: &[u64]) -> Result<Vec<Vec<Frame>>, String> {
        let request = serde_json::to_string(offsets).map_err(|error| error.to_string())?;
        self.requests.send(request).map_err(|_| "the helper process has ended".to_owned())?;
        let answer = self.answer(ANSWER_TIMEOUT)?;
        serde_json::from_str(&answer).map_err(|error| format!("the helper process answers nonsense: {error}"))
    }

    fn answer(&self, timeout: Duration) -> Result<String, String> {
        self.answers.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                format!("the helper process took longer than {}", humantime::format_duration(timeout))
            }
            RecvTimeoutError::Disconnected => "the helper process crashed, or took too much memory".to_owned(),
        })
    }
}

/// Hands the component over, and then carries each request there and its answer back.
fn exchange(
    (mut stdin, stdout): (ChildStdin, ChildStdout),
    component: &[u8],
    requests: &Receiver<String>,
    answers: &Sender<String>,
) -> io::Result<()> {
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
