//! Coordinates stdout, the status line of a terminal, and the log.
//!
//! A log event is always one line, whatever its text.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::output::{self, Colour, Line, escape};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    /// A level, or validated directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    /// One JSON object per line.
    Json,
}

/// Stdout and the log. Clones share the status line.
#[derive(Clone)]
pub struct Console {
    /// The status line; only on a terminal.
    live: Option<ProgressBar>,
    format: LogFormat,
    /// Log lines start with the time.
    has_timestamps: bool,
}

impl Console {
    /// Starts the log on stderr with this filter (`info`, `host=debug,kafka=warn`, …).
    ///
    /// # Errors
    /// The filter is invalid.
    pub fn start(format: LogFormat, filter: &str) -> Result<Self, String> {
        let is_live = output::stdout_is_terminal() && format == LogFormat::Text;
        let live = is_live.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("a valid template"));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self::log_to(Self { live, format, has_timestamps: true }, filter)
    }

    /// As [`Console::start`], for a short command: without a status line, and without timestamps in text lines.
    ///
    /// # Errors
    /// The filter is invalid.
    pub fn log_only(format: LogFormat, filter: &str) -> Result<Self, String> {
        Self::log_to(Self { live: None, format, has_timestamps: false }, filter)
    }

    fn log_to(console: Self, filter: &str) -> Result<Self, String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| format!("invalid log filter: '{filter}': {error}"))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(console.clone());
        // Tests start several consoles in one process; the first log stays active.
        let _ = match console.format {
            LogFormat::Json => log.json().flatten_event(true).try_init(),
            LogFormat::Text => {
                // `log_line` adds colours after escaping.
                let log = log.with_ansi(false).with_target(false);
                if console.has_timestamps { log.try_init() } else { log.without_time().try_init() }
            }
        };
        Ok(console)
    }

    /// Whether stdout is a terminal with a status line.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// With JSON logs, stdout stays empty.
    pub fn is_for_people(&self) -> bool {
        self.format == LogFormat::Text
    }

    /// Width of the terminal; `None` if stdout is not a terminal.
    pub fn columns(&self) -> Option<usize> {
        self.live.as_ref().and_then(|_| output::stdout_columns())
    }

    /// Prints one line to stdout, above the status line.
    pub fn print(&self, line: impl Into<Line>) {
        self.suspend_live(|| output::print_line(line));
    }

    /// Prints trusted text with line breaks.
    pub fn print_text(&self, text: &str) {
        self.suspend_live(|| output::print_text(text));
    }

    /// Replaces the status line.
    pub fn live(&self, line: &str) {
        if let Some(live) = &self.live {
            live.set_message(escape::line(line).into_owned());
        }
    }

    /// Removes the status line.
    pub fn finish(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
    }

    /// Hides the status line during a write.
    fn suspend_live<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.live {
            Some(live) => live.suspend(write),
            None => write(),
        }
    }
}

impl Write for Console {
    /// The subscriber writes one event per call.
    ///
    /// Never fails: the subscriber would report an error with a macro that panics if stderr is closed.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let line = match self.format {
            LogFormat::Json => escape::json(text).into_owned(),
            LogFormat::Text => log_line(text, self.has_timestamps).rendered(output::stderr_has_colours()),
        };
        self.suspend_live(|| output::write_stderr(&format!("{line}\n")));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Colours the timestamp and the level, which are at the start of the line.
fn log_line(text: &str, has_timestamp: bool) -> Line {
    let (time, rest) = match text.split_once(' ') {
        Some((time, rest)) if has_timestamp => (time, rest),
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
    let line = if has_timestamp { Line::default().coloured(Colour::Faint, time).text(" ") } else { Line::default() };
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
