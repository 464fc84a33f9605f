//! `host map`: records in, outputs on stdout, failures on stderr, in order; a batch at a time, so that memory is bounded.

mod counts;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::guest::{Guest, build_if_absent};
use super::input::{Filled, Input, Lines, Topic};
use super::{Outcome, records};
use crate::config::{MapConfig, MapFormat, MapInput};
use crate::pipeline::Mapper;
use crate::record::Record;
use crate::shutdown::Halt;
use crate::verdict::{Output, Verdict, Verdicts};

use counts::Counts;

/// A smaller file is mapped before anybody looks.
const PROGRESS_FROM_BYTES: u64 = 8 << 20;

/// Maps all of the input.
///
/// # Errors
/// When the plugin can't be used, or the input can't be read.
pub fn map(config: &MapConfig) -> Result<Outcome, Halt> {
    build_if_absent(&config.plugin)?;
    // Before the plugin, which may take its time to compile.
    let mut input: Box<dyn Input> = match &config.input {
        MapInput::Files(paths) => Box::new(Lines::open(paths, config.format)?),
        MapInput::Topic(input) => Box::new(Topic::open(input, config.format)?),
    };
    let mut mapper = Guest::new(&config.guest, &config.plugin)?.mapper(&config.guest.set)?;
    let mut report = Report::new(config, input.progress());
    let mut filled = Filled::new(records::TOPIC);
    let mut verdicts = Verdicts::default();
    let mut left = config.limit.unwrap_or(u64::MAX);
    let mut more = left > 0;
    while more {
        filled.clear();
        let most = config.guest.batch_records.min(usize::try_from(left).unwrap_or(usize::MAX));
        more = input.fill(&mut filled, most)?;
        left -= filled.batch.len() as u64;
        more &= left > 0;
        verdicts.clear();
        let started = Instant::now();
        mapper.map(&filled.batch, &mut verdicts);
        report.counts.mapping += started.elapsed();
        match report.batch(&filled, &verdicts) {
            Ok(()) => {}
            // Who reads our output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(Halt::internal(&anyhow::Error::new(error).context("writing the outputs"))),
        }
        report.advance(input.progress());
    }
    Ok(report.end())
}

/// Writes what came.
struct Report<'a> {
    config: &'a MapConfig,
    out: BufWriter<io::StdoutLock<'static>>,
    counts: Counts,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Report<'a> {
    fn new(config: &'a MapConfig, progress: Option<(u64, u64)>) -> Self {
        // Where the outputs go to the terminal too, they show how far it is.
        let watched = io::stderr().is_terminal() && !io::stdout().is_terminal();
        let bar = progress.filter(|(_, all)| watched && *all >= PROGRESS_FROM_BYTES).map(|(_, all)| {
            let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
            let template = "{wide_bar} {bytes} of {total_bytes}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a template of ours"));
            bar
        });
        let out = BufWriter::new(io::stdout().lock());
        Self { config, out, counts: Counts::default(), started: Instant::now(), bar }
    }

    fn batch(&mut self, filled: &Filled, verdicts: &Verdicts) -> io::Result<()> {
        let mut bad = filled.bad.iter().peekable();
        for (index, (record, verdict)) in filled.batch.records().zip(verdicts.iter()).enumerate() {
            while let Some((_, place, reason)) = bad.next_if(|(before, ..)| *before <= index) {
                self.bad(place, reason);
            }
            self.counts.count(&verdict);
            match verdict {
                Verdict::Mapped(outputs) => outputs.into_iter().try_for_each(|output| self.output(&output, record))?,
                Verdict::Failed(failure) => {
                    let mut text = format!("{}: {}: {}", filled.places[index], failure.kind, failure.message);
                    if self.config.verbose {
                        failure.details.lines().for_each(|line| text.push_str(&format!("\n    {line}")));
                    }
                    self.say(&text);
                }
            }
        }
        bad.for_each(|(_, place, reason)| self.bad(place, reason));
        self.out.flush()
    }

    fn output(&mut self, output: &Output<'_>, record: Record<'_>) -> io::Result<()> {
        if self.config.format == MapFormat::Record {
            serde_json::to_writer(&mut self.out, &records::output_to_json(output, record))?;
        } else {
            self.out.write_all(output.value(record).unwrap_or(b"null"))?;
        }
        self.out.write_all(b"\n")
    }

    fn bad(&mut self, place: &str, reason: &str) {
        self.counts.bad += 1;
        self.say(&format!("{place}: not a record: {reason}"));
    }

    /// Who closed our stderr doesn't want to read it.
    fn say(&self, text: &str) {
        let write = || {
            let _ = writeln!(io::stderr().lock(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn advance(&self, progress: Option<(u64, u64)>) {
        if let (Some(bar), Some((read, _))) = (&self.bar, progress) {
            bar.set_position(read);
        }
    }

    fn end(self) -> Outcome {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.config.stats {
            self.say(&self.counts.text(self.started.elapsed()));
        }
        if self.counts.failed() { Outcome::RecordsFailed } else { Outcome::Good }
    }
}
