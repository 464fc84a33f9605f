//! What a person sees: a live line at a terminal, plain lines elsewhere, and the log, which must not run into either.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// Standard output and the log. Cheap to clone: all clones share the live line.
#[derive(Clone)]
pub struct Console {
    /// There is one at a terminal only.
    live: Option<ProgressBar>,
    format: LogFormat,
}

impl Console {
    /// Begins to log, to stderr, what passes this filter (`info`, `host=debug,kafka=warn`, …).
    ///
    /// # Errors
    /// When the filter can't be read.
    pub fn start(format: LogFormat, filter: &str) -> Result<Self, String> {
        let terminal = io::stdout().is_terminal() && format == LogFormat::Text;
        let live = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template of ours"));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self::log_to(Self { live, format }, filter, true)
    }

    /// As [`Console::start`], for a command whose standard output is all its own: there is no live line, and lines for a person
    /// have no time: they are read as they come.
    ///
    /// # Errors
    /// When the filter can't be read.
    pub fn log_only(format: LogFormat, filter: &str) -> Result<Self, String> {
        Self::log_to(Self { live: None, format }, filter, false)
    }

    fn log_to(console: Self, filter: &str, timed: bool) -> Result<Self, String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| format!("the log filter '{filter}': {error}"))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(console.clone());
        // A second start in one process, as in tests, keeps the first log.
        let _ = match console.format {
            LogFormat::Json => log.json().flatten_event(true).try_init(),
            LogFormat::Text => {
                let log = log.with_ansi(io::stderr().is_terminal()).with_target(false);
                if timed { log.try_init() } else { log.without_time().try_init() }
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

    /// Prints a line on standard output, above the live line.
    pub fn print(&self, line: &str) {
        self.apart(|| {
            // Who closed our standard output doesn't want to read it; the work goes on.
            let _ = writeln!(io::stdout().lock(), "{line}");
        });
    }

    /// Replaces the live line.
    pub fn live(&self, line: String) {
        if let Some(live) = &self.live {
            live.set_message(line);
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
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.apart(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Console {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
