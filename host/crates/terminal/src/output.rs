//! Everything that the program writes to stdout and stderr. It is the one place where text for people is escaped, and where a reader
//! that has gone is dealt with.
//!
//! Nothing here fails or panics. When the reader of stdout has closed it (`| head`), what is written to it is dropped: the command does
//! its work, and its exit code says how that went. Any other error of stdout, such as a full disk, is kept for [`stdout_error`].

// The macros `println` and `eprintln` panic when the reader is gone; lints keep the rest of the program from them and from the streams.
#![expect(clippy::disallowed_methods, reason = "this is the place")]

pub mod escape;
mod line;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

pub use line::{Colour, Line};

/// Before the second and later lines of an error message: no text in it can look like the beginning of another message.
const CONTINUATION: &str = "    ";

/// What became of stdout.
static STDOUT: StreamState = StreamState { is_closed: AtomicBool::new(false), error: OnceLock::new() };

struct StreamState {
    is_closed: AtomicBool,
    error: OnceLock<io::Error>,
}

impl StreamState {
    fn note(&self, error: io::Error) {
        if error.kind() == ErrorKind::BrokenPipe {
            self.is_closed.store(true, Ordering::Relaxed);
        } else {
            // The first one says why.
            let _ = self.error.set(error);
        }
    }
}

/// Prints one line.
pub fn print_line(line: impl Into<Line>) {
    write_stdout(&format!("{}\n", line.into().rendered(has_colours(stdout_is_terminal()))));
}

/// Prints text of our own that is laid out in lines, such as a help page. Text of others belongs into a [`Line`].
pub fn print_text(text: &str) {
    write_stdout(&escape::text(text));
}

/// Prints a value as JSON, in as many lines as it takes.
pub fn print_json(value: &impl Serialize) {
    let json = serde_json::to_string_pretty(value).expect("values of ours have text keys");
    write_stdout(&format!("{}\n", escape::json(&json)));
}

/// Writes one line to stderr.
pub fn eprint_line(line: impl Into<Line>) {
    write_stderr(&format!("{}\n", line.into().rendered(has_colours(stderr_is_terminal()))));
}

/// Writes a question to stderr; the answer is typed behind it.
pub fn eprint_prompt(question: &str) {
    write_stderr(&escape::line(question));
}

/// Writes an error message to stderr. It may have several lines.
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

/// Whether the reader of stdout has closed it. It is noticed when something is written.
pub fn stdout_is_closed() -> bool {
    STDOUT.is_closed.load(Ordering::Relaxed)
}

/// Why stdout could not be written, if that was not its reader's wish.
pub fn stdout_error() -> Option<&'static io::Error> {
    STDOUT.error.get()
}

/// Whether stdout is a terminal.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// How wide the terminal is that stdout is; `None` when it is none, or does not know.
pub fn stdout_columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// Whether stderr is a terminal.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// The stderr of this process for a program that it starts.
pub fn inherited_stderr() -> Stdio {
    io::stderr().into()
}

/// Colours are for a terminal, if the user has not asked for none (<https://no-color.org>).
fn has_colours(is_terminal: bool) -> bool {
    static REFUSED: OnceLock<bool> = OnceLock::new();
    is_terminal && !REFUSED.get_or_init(|| std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()))
}

/// Whether lines on stderr have colours.
pub fn stderr_has_colours() -> bool {
    has_colours(stderr_is_terminal())
}

fn write_stdout(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        STDOUT.note(error);
    }
}

/// There is no place left to report that stderr can't be written.
pub fn write_stderr(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Reports a panic in escaped lines, and never panics itself when stderr is closed.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let mut text = format!("thread '{name}' {panic}");
        // As RUST_BACKTRACE says.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("\n{backtrace}"));
        }
        eprint_error(&text);
    }));
}

/// Outputs of a command whose stdout is data: raw for a program or a file, escaped for a terminal.
pub struct DataWriter {
    out: BufWriter<StdoutLock<'static>>,
    is_terminal: bool,
}

impl DataWriter {
    /// Takes stdout until it is dropped.
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

    /// Writes a value as JSON, in a line.
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
    fn later_lines_of_a_message_are_indented_and_all_are_escaped() {
        assert_eq!(indent_continuation("one"), "one");
        assert_eq!(
            indent_continuation("plugin \x1b]0;x\x07:\nerror: forged\r\n\nmore\n"),
            "plugin \\x1b]0;x\\x07:\n    error: forged\\r\n\n    more"
        );
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
        let state = StreamState { is_closed: AtomicBool::new(false), error: OnceLock::new() };
        state.note(ErrorKind::BrokenPipe.into());
        assert!(state.is_closed.load(Ordering::Relaxed) && state.error.get().is_none());
        state.note(ErrorKind::StorageFull.into());
        assert_eq!(state.error.get().map(io::Error::kind), Some(ErrorKind::StorageFull));
    }
}
