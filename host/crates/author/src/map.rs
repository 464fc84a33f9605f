//! `mapper-host map`: maps records. Writes outputs to stdout and failures to stderr, in order. Batches bound the memory.

mod counts;

use std::io;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::guest::{Guest, build_if_absent};
use super::input::{Input, InputBatch, LineFormat, Lines, Malformed, Progress, Topic};
use super::{Outcome, records};
use crate::config::{MapConfig, MapInput, OutputFormat};
use crate::services::Services;
use mapper_core::record::Record;
use mapper_core::shutdown::Halt;
use mapper_core::verdict::{Output, Verdict, Verdicts};
use mapper_runtime::Mapper;
use mapper_terminal::output::{self, DataWriter};

use counts::Counts;

/// A smaller file needs no progress bar.
const PROGRESS_FROM_BYTES: u64 = 8 << 20;

/// # Errors
/// The plugin can't be loaded, or the input can't be read.
pub fn map(config: &MapConfig, services: &dyn Services) -> Result<Outcome, Halt> {
    build_if_absent(&config.plugin)?;
    // Open the input first: an error then doesn't have to wait for the compilation.
    let mut input: Box<dyn Input> = match &config.input {
        MapInput::Files(paths) => Box::new({
            let tombstone = config.tombstone.clone();
            Lines::open(paths, LineFormat { format: config.format, tombstone })?
        }),
        MapInput::Topic(input) => Box::new(Topic::open(services, input, config.format)?),
    };
    let mut mapper = Guest::new(&config.guest, &config.plugin)?.mapper(&config.guest.set)?;
    let mut report = Report::new(config, input.progress());
    let mut input_batch = InputBatch::new(records::DEFAULT_TOPIC);
    let mut verdicts = Verdicts::default();
    let mut remaining = config.limit.unwrap_or(u64::MAX);
    let mut has_more = remaining > 0;
    while has_more {
        input_batch.clear();
        let max_records = config.guest.batch_records.min(usize::try_from(remaining).unwrap_or(usize::MAX));
        has_more = input.fill(&mut input_batch, max_records)?;
        remaining -= input_batch.batch.len() as u64;
        has_more &= remaining > 0;
        verdicts.clear();
        let started = Instant::now();
        mapper.map(&input_batch.batch, &mut verdicts);
        report.counts.mapping += started.elapsed();
        match report.write_batch(&input_batch, &verdicts) {
            Ok(()) => {}
            // The reader of stdout has closed the pipe.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(Halt::internal(anyhow::Error::new(error).context("writing the outputs"))),
        }
        report.advance(input.progress());
    }
    Ok(report.finish())
}

/// Writes outputs and failures.
struct Report<'a> {
    config: &'a MapConfig,
    out: DataWriter,
    counts: Counts,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> Report<'a> {
    fn new(config: &'a MapConfig, progress: Option<Progress>) -> Self {
        // Outputs on the terminal show the progress themselves.
        let is_visible = output::stderr_is_terminal() && !output::stdout_is_terminal();
        let bar =
            progress.map(|progress| progress.bytes_total).filter(|total| is_visible && *total >= PROGRESS_FROM_BYTES);
        let bar = bar.map(|bytes_total| {
            let bar = ProgressBar::with_draw_target(Some(bytes_total), ProgressDrawTarget::stderr());
            let template = "{wide_bar} {bytes} of {total_bytes}, {eta} left";
            bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
            bar
        });
        Self { config, out: DataWriter::stdout(), counts: Counts::default(), started: Instant::now(), bar }
    }

    fn write_batch(&mut self, input: &InputBatch, verdicts: &Verdicts) -> io::Result<()> {
        let mut malformed_input = input.malformed.iter().peekable();
        for (index, (record, verdict)) in input.batch.records().zip(verdicts.iter()).enumerate() {
            while let Some(malformed) = malformed_input.next_if(|malformed| malformed.index <= index) {
                self.report_malformed(malformed);
            }
            self.counts.add(&verdict);
            match verdict {
                Verdict::Mapped(outputs) => {
                    outputs.into_iter().try_for_each(|output| self.write_output(&output, record))?
                }
                Verdict::Failed(failure) => {
                    self.report(&format!("{}: {}: {}", input.locations[index], failure.kind, failure.message));
                    if self.config.verbose {
                        failure.details.lines().for_each(|line| self.report(&format!("    {line}")));
                    }
                }
            }
        }
        malformed_input.for_each(|malformed| self.report_malformed(malformed));
        self.out.flush()
    }

    fn write_output(&mut self, output: &Output<'_>, record: Record<'_>) -> io::Result<()> {
        if self.config.output_format == OutputFormat::Record {
            self.out.json(&records::output_to_json(output, record))
        } else {
            let tombstone = self.config.tombstone.as_deref().unwrap_or("null");
            self.out.value(output.value(record).unwrap_or(tombstone.as_bytes()))
        }
    }

    fn report_malformed(&mut self, malformed: &Malformed) {
        self.counts.malformed += 1;
        self.report(&format!("{}: not a record: {}", malformed.location, malformed.reason));
    }

    fn report(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::eprint_line(line)),
            None => output::eprint_line(line),
        }
    }

    fn advance(&self, progress: Option<Progress>) {
        if let (Some(bar), Some(progress)) = (&self.bar, progress) {
            bar.set_position(progress.bytes_read);
        }
    }

    fn finish(self) -> Outcome {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.config.stats {
            self.counts.summary(self.started.elapsed()).lines().for_each(|line| self.report(line));
        }
        if self.counts.has_failures() { Outcome::RecordsFailed } else { Outcome::Success }
    }
}
