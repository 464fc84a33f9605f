//! All writes to stdout and stderr. This module escapes text, and handles closed pipes.
//!
//! No function fails or panics. If the reader closes stdout (`| head`), output is dropped, and the command continues: its exit code
//! reports its result. Other errors of stdout, such as a full disk, are available from [`stdout_error`].

// `println` and `eprintln` panic if the pipe is closed. Lints forbid them and direct access to the streams elsewhere.
#![expect(clippy::disallowed_methods, reason = "the only module with direct access")]

pub mod escape;
mod line;
mod table;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

pub use line::{Colour, Line};
pub use table::{fit, table};

/// Indents the second and later lines of an error, so that no line can look like the start of another error.
const CONTINUATION: &str = "    ";

static STDOUT: StreamState = StreamState { is_closed: AtomicBool::new(false), error: OnceLock::new() };

struct StreamState {
    is_closed: AtomicBool,
    error: OnceLock<io::Error>,
}

impl StreamState {
    fn record_error(&self, error: io::Error) {
        if error.kind() == ErrorKind::BrokenPipe {
            self.is_closed.store(true, Ordering::Relaxed);
        } else {
            // Keep the first error, which is the cause.
            let _ = self.error.set(error);
        }
    }
}

pub fn print_line(line: impl Into<Line>) {
    write_stdout(&format!("{}\n", line.into().rendered(has_colours(stdout_is_terminal()))));
}

/// Prints trusted text with line breaks, such as a help page. Use a [`Line`] for untrusted text.
pub fn print_text(text: &str) {
    write_stdout(&escape::text(text));
}

/// Prints a value as indented JSON.
pub fn print_json(value: &impl Serialize) {
    let json = serde_json::to_string_pretty(value).expect("the value has string keys");
    write_stdout(&format!("{}\n", escape::json(&json)));
}

pub fn eprint_line(line: impl Into<Line>) {
    write_stderr(&format!("{}\n", line.into().rendered(has_colours(stderr_is_terminal()))));
}

/// Writes a question without a line break to stderr.
pub fn eprint_prompt(question: &str) {
    write_stderr(&escape::line(question));
}

/// Writes an error to stderr. The message can have several lines.
pub fn eprint_error(message: &str) {
    write_stderr(&format!("error: {}\n", indent_continuation(message)));
}

fn indent_continuation(message: &str) -> String {
    let lines = message.trim_end().split('\n').enumerate().map(|(index, line)| match (index, line) {
        (0, line) => escape::line(line).into_owned(),
        (_, "") => String::new(),
        (_, line) => format!("{CONTINUATION}{}", escape::line(line)),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a write has found the pipe of stdout closed.
pub fn stdout_is_closed() -> bool {
    STDOUT.is_closed.load(Ordering::Relaxed)
}

/// The first write error of stdout other than a closed pipe.
pub fn stdout_error() -> Option<&'static io::Error> {
    STDOUT.error.get()
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Width of the terminal; `None` if stdout is not a terminal or its width is unknown.
pub fn stdout_columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// The stderr of this process, for a child process.
pub fn inherited_stderr() -> Stdio {
    io::stderr().into()
}

/// Colours require a terminal and no `NO_COLOR` (<https://no-color.org>).
fn has_colours(is_terminal: bool) -> bool {
    static NO_COLOR: OnceLock<bool> = OnceLock::new();
    is_terminal && !NO_COLOR.get_or_init(|| std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()))
}

pub fn stderr_has_colours() -> bool {
    has_colours(stderr_is_terminal())
}

fn write_stdout(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        STDOUT.record_error(error);
    }
}

/// Ignores write errors, because there is nowhere to report them.
pub fn write_stderr(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Installs a panic hook that escapes the message, and doesn't panic if stderr is closed.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let mut text = format!("thread '{name}' {panic}");
        // Respects RUST_BACKTRACE.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("\n{backtrace}"));
        }
        eprint_error(&text);
    }));
}

/// Writes data to stdout: raw to a pipe or a file, escaped to a terminal.
pub struct DataWriter {
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

impl DataWriter {
    /// Locks stdout until drop.
    pub fn stdout() -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), is_terminal: stdout_is_terminal() }
    }

    /// Writes a value and a line break.
    pub fn value(&mut self, value: &[u8]) -> io::Result<()> {
        if self.is_terminal {
            self.out.write_all(escape::bytes(value).as_bytes())?;
        } else {
            self.out.write_all(value)?;
        }
        self.out.write_all(b"\n")
    }

    /// Writes a value as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        if self.is_terminal {
            self.out.write_all(escape::json(&serde_json::to_string(value)?).as_bytes())?;
        } else {
            serde_json::to_writer(&mut self.out, value)?;
        }
        self.out.write_all(b"\n")
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_lines_are_escaped_and_indented() {
        assert_eq!(indent_continuation("one"), "one");
        assert_eq!(
            indent_continuation("plugin \x1b]0;x\x07:\nerror: forged\r\n\nmore\n"),
            "plugin \\x1b]0;x\\x07:\n    error: forged\\r\n\n    more"
        );
    }

    #[test]
    fn closed_pipe_is_no_error_and_full_disk_is_one() {
        let state = StreamState { is_closed: AtomicBool::new(false), error: OnceLock::new() };
        state.record_error(ErrorKind::BrokenPipe.into());
        assert!(state.is_closed.load(Ordering::Relaxed) && state.error.get().is_none());
        state.record_error(ErrorKind::StorageFull.into());
        assert_eq!(state.error.get().map(io::Error::kind), Some(ErrorKind::StorageFull));
    }
}
