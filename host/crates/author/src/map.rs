//! `mapper-host map`: records in, outputs on stdout, failures on stderr, in order; a batch at a time, so that memory is bounded.

mod counts;

use std::io;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::guest::{Guest, build_if_absent};
use super::input::{Filled, Input, LineFormat, Lines, Topic};
use super::{Outcome, records};
use crate::config::{MapConfig, MapInput, OutputFormat};
use crate::services::Services;
use mapper_core::record::Record;
use mapper_core::shutdown::Halt;
use mapper_core::verdict::{Output, Verdict, Verdicts};
use mapper_runtime::Mapper;
use mapper_terminal::output::{self, DataWriter};

use counts::Counts;

/// A smaller file is mapped before anybody looks.
const PROGRESS_FROM_BYTES: u64 = 8 << 20;

/// Maps all of the input.
///
/// # Errors
/// When the plugin can't be used, or the input can't be read.
pub fn map(config: &MapConfig, services: &dyn Services) -> Result<Outcome, Halt> {
    build_if_absent(&config.plugin)?;
    // Before the plugin, which may take its time to compile.
    let mut input: Box<dyn Input> = match &config.input {
        MapInput::Files(paths) => Box::new({
            let tombstone = config.tombstone.clone();
            Lines::open(paths, LineFormat { format: config.format, tombstone })?
        }),
        MapInput::Topic(input) => Box::new(Topic::open(services, input, config.format)?),
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
    out: DataWriter,
    counts: Counts,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Report<'a> {
    fn new(config: &'a MapConfig, progress: Option<(u64, u64)>) -> Self {
        // Where the outputs go to the terminal too, they show how far it is.
        let watched = output::stderr_is_terminal() && !output::stdout_is_terminal();
        let bar = progress.filter(|(_, all)| watched && *all >= PROGRESS_FROM_BYTES).map(|(_, all)| {
            let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
            let template = "{wide_bar} {bytes} of {total_bytes}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a template of ours"));
            bar
        });
        Self { config, out: DataWriter::stdout(), counts: Counts::default(), started: Instant::now(), bar }
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
                    self.say(&format!("{}: {}: {}", filled.places[index], failure.kind, failure.message));
                    if self.config.verbose {
                        failure.details.lines().for_each(|line| self.say(&format!("    {line}")));
                    }
                }
            }
        }
        bad.for_each(|(_, place, reason)| self.bad(place, reason));
        self.out.flush()
    }

    fn output(&mut self, output: &Output<'_>, record: Record<'_>) -> io::Result<()> {
        if self.config.output_format == OutputFormat::Record {
            self.out.json(&records::output_to_json(output, record))
        } else {
            let tombstone = self.config.tombstone.as_deref().unwrap_or("null");
            self.out.value(output.value(record).unwrap_or(tombstone.as_bytes()))
        }
    }

    fn bad(&mut self, place: &str, reason: &str) {
        self.counts.bad += 1;
        self.say(&format!("{place}: not a record: {reason}"));
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::eprint_line(line)),
            None => output::eprint_line(line),
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
            self.counts.text(self.started.elapsed()).lines().for_each(|line| self.say(line));
        }
        if self.counts.failed() { Outcome::RecordsFailed } else { Outcome::Good }
    }
}
