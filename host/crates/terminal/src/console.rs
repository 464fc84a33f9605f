//! What a person sees: a live line at a terminal, plain lines elsewhere, and the log, which must not run into either.
//!
//! A line of the log is one line, whatever is in the event.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::output::{self, Colour, Line, escape};

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// A level, or directives of `tracing_subscriber::EnvFilter`, which were parsed once already.
    pub filter: String,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Standard output and the log. Cheap to clone: all clones share the live line.
#[derive(Clone)]
pub struct Console {
    /// There is one at a terminal only.
    live: Option<ProgressBar>,
    format: LogFormat,
    /// Whether lines of the log begin with the time.
    timed: bool,
}

impl Console {
    /// Begins to log, to stderr, what passes this filter (`info`, `host=debug,kafka=warn`, …).
    ///
    /// # Errors
    /// When the filter can't be read.
    pub fn start(format: LogFormat, filter: &str) -> Result<Self, String> {
        let terminal = output::stdout_is_terminal() && format == LogFormat::Text;
        let live = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template of ours"));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self::log_to(Self { live, format, timed: true }, filter)
    }

    /// As [`Console::start`], for a command whose standard output is all its own: there is no live line, and lines for a person
    /// have no time: they are read as they come.
    ///
    /// # Errors
    /// When the filter can't be read.
    pub fn log_only(format: LogFormat, filter: &str) -> Result<Self, String> {
        Self::log_to(Self { live: None, format, timed: false }, filter)
    }

    fn log_to(console: Self, filter: &str) -> Result<Self, String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| format!("the log filter '{filter}': {error}"))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(console.clone());
        // A second start in one process, as in tests, keeps the first log.
        let _ = match console.format {
            LogFormat::Json => log.json().flatten_event(true).try_init(),
            LogFormat::Text => {
                // Colours are added where the line is escaped.
                let log = log.with_ansi(false).with_target(false);
                if console.timed { log.try_init() } else { log.without_time().try_init() }
            }
        };
        Ok(console)
    }

    /// Whether a person is watching a terminal.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether standard output is for people; with JSON logs it is for nobody.
    pub fn is_for_people(&self) -> bool {
        self.format == LogFormat::Text
    }

    /// How wide the terminal is; `None` when standard output is none.
    pub fn columns(&self) -> Option<usize> {
        self.live.as_ref().and_then(|_| output::stdout_columns())
    }

    /// Prints one line on standard output, above the live line.
    pub fn print(&self, line: impl Into<Line>) {
        self.apart(|| output::print_line(line));
    }

    /// Prints text of our own that is laid out in lines.
    pub fn print_text(&self, text: &str) {
        self.apart(|| output::print_text(text));
    }

    /// Replaces the live line.
    pub fn live(&self, line: &str) {
        if let Some(live) = &self.live {
            live.set_message(escape::line(line).into_owned());
        }
    }

    /// Takes the live line away.
    pub fn finish(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
    }

    fn apart<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.live {
            Some(live) => live.suspend(write),
            None => write(),
        }
    }
}

impl Write for Console {
    /// Takes one event, which is all that the subscriber ever writes at once.
    ///
    /// It never fails: the subscriber would report that to stderr by a macro that panics when stderr is closed.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let line = match self.format {
            LogFormat::Json => escape::json(text).into_owned(),
            LogFormat::Text => log_line(text, self.timed).rendered(output::stderr_has_colours()),
        };
        self.apart(|| output::write_stderr(&format!("{line}\n")));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Colours the time and the level, with which the subscriber begins a line.
fn log_line(text: &str, timed: bool) -> Line {
    let (time, rest) = match text.split_once(' ') {
        Some((time, rest)) if timed => (time, rest),
        _ => ("", text),
    };
    let level = rest.trim_start_matches(' ').split(' ').next().unwrap_or_default();
    let colour = match level {
        "ERROR" => Colour::Red,
        "WARN" => Colour::Yellow,
        "INFO" => Colour::Green,
        _ => Colour::Blue,
    };
    let (padding, rest) = rest.split_once(level).unwrap_or(("", rest));
    let line = if timed { Line::default().coloured(Colour::Faint, time).text(" ") } else { Line::default() };
    line.text(padding).coloured(colour, level).text(rest)
}

impl MakeWriter<'_> for Console {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_event_with_line_breaks_and_escapes_is_one_line() {
        let event = "2026-11-26T11:00:00.000000Z  WARN line\r\n2026-11-26T11:00:01Z  INFO forged \u{1b}[2J\u{202e} a=1";
        let escaped = "line\\r\\n2026-11-26T11:00:01Z  INFO forged \\x1b[2J\\u{202e} a=1";
        assert_eq!(log_line(event, true).rendered(false), format!("2026-11-26T11:00:00.000000Z  WARN {escaped}"));
        assert_eq!(
            log_line(event, true).rendered(true),
            format!("\x1b[2m2026-11-26T11:00:00.000000Z\x1b[0m  \x1b[33mWARN\x1b[0m {escaped}")
        );
        assert_eq!(log_line(" INFO a", false).rendered(true), " \x1b[32mINFO\x1b[0m a");
        assert_eq!(log_line("ERROR a", false).rendered(false), "ERROR a");
        assert_eq!(log_line("", true).rendered(false), " ");
    }
}
