//! `dlq try`: maps letters with a version, and produces nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;

use mapper_author::Outcome;
use mapper_author::guest::{Guest, build_if_absent};
use mapper_core::dead_letter::fingerprint_of;
use mapper_core::decision::{Decision, Routes, decide};
use mapper_core::record::{Batch, Record};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::verdict::{Failure, Output, Verdicts};
use mapper_pipeline::SourceError;
use mapper_pipeline::contracts::{Fetched, Mapper, Source};
use mapper_runtime::PluginMapper;
use mapper_terminal::output::{self, Colour, Line, fit};

use super::super::states::Access;
use super::plan::Plan;
use super::report_left_out;
use super::source::{InPipeline, LetterSource};
use super::stale::NewestOutputs;
use crate::config::RedriveConfig;

const WAIT: Duration = Duration::from_millis(200);
/// The number of records that are shown for each kind of result.
const SAMPLES: usize = 3;
const MAX_VALUE_CHARS: usize = 200;

/// The result of a try-out.
#[derive(Debug, Default, Serialize)]
struct Report {
    letters: u64,
    passed: u64,
    outputs: u64,
    skipped: u64,
    failed_as_before: u64,
    failed_differently: u64,
    /// The groups of failures that a letter had not before.
    new_failures: BTreeMap<String, NewFailure>,
    /// Records that pass now.
    samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct NewFailure {
    kind: String,
    message: String,
    count: u64,
    samples: Vec<Sample>,
}

/// A record with its failure in the letter and its result now.
#[derive(Debug, Clone, Serialize)]
struct Sample {
    record: String,
    before: String,
    now: String,
}

/// # Errors
/// If Kafka or the plugin can't be used.
pub(in super::super) fn try_out(
    access: &Access,
    config: &RedriveConfig,
    plugin: &std::path::Path,
    shutdown: &Shutdown,
) -> Result<Outcome, Halt> {
    build_if_absent(plugin)?;
    let mut mapper = Guest::new(&config.guest, plugin)?.mapper(&config.guest.set)?;
    let outputs: Vec<&str> = config.outputs.iter().map(String::as_str).collect();
    let routes = access.setup().read_routes(&outputs, &access.dead_letters, None)?;
    let plan = Plan::read(access, &config.filter, config.max_attempts)?;
    let in_pipeline = InPipeline::default();
    let plan_and_attempts = (&plan, config.max_attempts);
    let mut source = LetterSource::open(
        access,
        &config.filter,
        plan_and_attempts,
        (NewestOutputs::new(), false),
        None,
        in_pipeline.clone(),
    )?;
    source.left = config.limit.unwrap_or(u64::MAX);
    let mut batch = Batch::new(access.dead_letters.as_str());
    let mut report = Report::default();
    while !shutdown.requested() {
        let fetched = source.fetch(&mut batch, config.guest.batch_records, WAIT).map_err(|error| match error {
            SourceError::Fatal(halt) => halt,
            SourceError::Retriable(error) => Halt::kafka(format!("{error:#}")),
        })?;
        if fetched == Fetched::Idle && source.finished().is_some() {
            break;
        }
        let before: Vec<(String, String)> =
            in_pipeline.borrow_mut().drain(..).map(|letter| (letter.fingerprint, letter.failure)).collect();
        report.add_batch(&mut mapper, &batch, &before, &routes);
    }
    report.print(config.json);
    report_left_out(&plan, source.lost, config.max_attempts);
    let has_failed = report.failed_as_before + report.failed_differently > 0;
    Ok(if has_failed { Outcome::RecordsFailed } else { Outcome::Success })
}

impl Report {
    fn add_batch(&mut self, mapper: &mut PluginMapper, batch: &Batch, before: &[(String, String)], routes: &Routes) {
        if batch.is_empty() {
            return;
        }
        let mut verdicts = Verdicts::default();
        mapper.map(batch, &mut verdicts);
        let now_ms = Utc::now().timestamp_millis();
        for ((record, verdict), before) in batch.records().zip(verdicts.iter()).zip(before) {
            self.letters += 1;
            match decide(record, verdict, routes, now_ms) {
                Decision::Skip => self.add_passed(record, before, 0, || "skipped".to_owned()),
                Decision::ProduceOne(_, output) => self.add_passed(record, before, 1, || describe(&output, record)),
                Decision::Produce(outputs) => {
                    let text = || {
                        let all: Vec<String> = outputs.iter().map(|(_, output)| describe(output, record)).collect();
                        all.join("  ")
                    };
                    self.add_passed(record, before, outputs.len() as u64, text);
                }
                Decision::DeadLetter(failure) => self.add_failed(record, before, &failure),
            }
        }
    }

    fn add_passed(
        &mut self,
        record: Record<'_>,
        (_, before): &(String, String),
        outputs: u64,
        now: impl FnOnce() -> String,
    ) {
        self.passed += 1;
        self.outputs += outputs;
        self.skipped += u64::from(outputs == 0);
        if self.samples.len() < SAMPLES {
            self.samples.push(Sample { record: position(record), before: before.clone(), now: now() });
        }
    }

    fn add_failed(&mut self, record: Record<'_>, (fingerprint, before): &(String, String), failure: &Failure<'_>) {
        let now = fingerprint_of(failure);
        if now == *fingerprint {
            self.failed_as_before += 1;
            return;
        }
        self.failed_differently += 1;
        let group = self.new_failures.entry(now).or_insert_with(|| NewFailure {
            kind: failure.kind.to_string(),
            message: failure.message.to_string(),
            count: 0,
            samples: Vec::new(),
        });
        group.count += 1;
        if group.samples.len() < SAMPLES {
            let now = format!("{}: {}", failure.kind, failure.message);
            group.samples.push(Sample { record: position(record), before: before.clone(), now });
        }
    }

    fn print(&self, is_json: bool) {
        if is_json {
            return output::print_json(self);
        }
        let Self { letters, passed, outputs, skipped, failed_as_before, failed_differently, .. } = self;
        for sample in &self.samples {
            print_sample(sample, Colour::Green);
        }
        for (fingerprint, NewFailure { kind, message, count, samples }) in &self.new_failures {
            let message = message.lines().next().unwrap_or_default();
            output::print_line(format!("{count} in group {fingerprint}: {kind}: {message}"));
            samples.iter().for_each(|sample| print_sample(sample, Colour::Red));
        }
        let failed = failed_as_before + failed_differently;
        output::print_line(format!(
            "{passed} of {letters} letters pass ({outputs} outputs, {skipped} skipped), {failed} fail: {failed_as_before} as before, \
             {failed_differently} differently. Nothing was written"
        ));
    }
}

fn print_sample(Sample { record, before, now }: &Sample, colour: Colour) {
    output::print_line(record.as_str());
    output::print_line(Line::default().coloured(Colour::Faint, format!("  - {}", shorten(before))));
    output::print_line(Line::default().coloured(colour, format!("  + {}", shorten(now))));
}

fn shorten(text: &str) -> String {
    fit(text.lines().next().unwrap_or_default(), Some(output::stdout_columns().unwrap_or(MAX_VALUE_CHARS)))
}

fn position(record: Record<'_>) -> String {
    format!("{}/{}@{}", record.topic(), record.partition(), record.offset())
}

fn describe(output: &Output<'_>, record: Record<'_>) -> String {
    let value = output.value(record).map(String::from_utf8_lossy);
    let topic = output.topic().map(|topic| format!("{topic}: ")).unwrap_or_default();
    format!("{topic}{}", value.as_deref().unwrap_or("null"))
}
