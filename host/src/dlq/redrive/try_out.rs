//! Maps letters with a version, and produces nothing.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use mapper_api::redrives::{LeftOutLetters, LetterTryOut, NewFailure, TriedLetter};
use mapper_author::Outcome;
use mapper_codec::CodecMapper;
use mapper_core::dead_letter::fingerprint_of;
use mapper_core::decision::{Decision, Routes, decide};
use mapper_core::record::{Batch, Record};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::verdict::{Failure, Output, Verdicts};
use mapper_pipeline::SourceError;
use mapper_pipeline::contracts::{Fetched, Mapper, Source};
use mapper_runtime::{Plugin, PluginMapper};
use mapper_terminal::output::{self, Colour, Line, fit};

use super::super::states::Access;
use super::plan::Plan;
use super::plugin_source;
use super::source::{InPipeline, LetterSource};
use super::stale::NewestOutputs;
use super::terminal::print_left_out;
use crate::config::{RedriveConfig, VersionChoice};
use crate::schema_registry::{self, PipelineMapper};

const WAIT: Duration = Duration::from_millis(200);
/// The number of records that are shown for each kind of result.
const SAMPLES: usize = 3;
const MAX_VALUE_CHARS: usize = 200;

/// `dlq try`.
///
/// # Errors
/// If Kafka or the plugin can't be used.
pub(in super::super) fn try_out(
    access: &Access,
    config: &RedriveConfig,
    version: &VersionChoice,
    shutdown: &Shutdown,
) -> Result<Outcome, Halt> {
    let plugin = plugin_source::load(&config.guest, version)?;
    let (tried, left_out) = try_letters(access, config, plugin, shutdown)?;
    print(&tried, config.json);
    print_left_out(left_out, config.max_attempts);
    let has_failed = tried.failed_as_before + tried.failed_differently > 0;
    Ok(if has_failed { Outcome::RecordsFailed } else { Outcome::Success })
}

/// Maps letters with a version, and produces nothing. A shutdown ends it after a batch.
///
/// # Errors
/// If Kafka can't be used.
pub(crate) fn try_letters(
    access: &Access,
    config: &RedriveConfig,
    plugin: Arc<Plugin>,
    shutdown: &Shutdown,
) -> Result<(LetterTryOut, LeftOutLetters), Halt> {
    let codec = schema_registry::build_for_redrive(config, shutdown)?;
    let mut mapper = CodecMapper::new(PluginMapper::new(plugin), codec.as_deref());
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
    let mut tried = LetterTryOut::default();
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
        add_batch(&mut tried, &mut mapper, &batch, &before, &routes);
    }
    Ok((tried, LeftOutLetters { exhausted: plan.exhausted, lost: source.lost, stale: 0 }))
}

fn add_batch(
    tried: &mut LetterTryOut,
    mapper: &mut PipelineMapper,
    batch: &Batch,
    before: &[(String, String)],
    routes: &Routes,
) {
    if batch.is_empty() {
        return;
    }
    let mut verdicts = Verdicts::default();
    mapper.map(batch, &mut verdicts);
    let now_ms = Utc::now().timestamp_millis();
    for ((record, verdict), before) in batch.records().zip(verdicts.iter()).zip(before) {
        tried.letters += 1;
        match decide(record, verdict, routes, now_ms) {
            Decision::Skip => add_passed(tried, record, before, 0, || "skipped".to_owned()),
            Decision::ProduceOne(_, output) => add_passed(tried, record, before, 1, || describe(&output, record)),
            Decision::Produce(outputs) => {
                let text = || {
                    let all: Vec<String> = outputs.iter().map(|(_, output)| describe(output, record)).collect();
                    all.join("  ")
                };
                add_passed(tried, record, before, outputs.len() as u64, text);
            }
            Decision::DeadLetter(failure) => add_failed(tried, record, before, &failure),
        }
    }
}

fn add_passed(
    tried: &mut LetterTryOut,
    record: Record<'_>,
    (_, before): &(String, String),
    outputs: u64,
    now: impl FnOnce() -> String,
) {
    tried.passed += 1;
    tried.outputs += outputs;
    tried.skipped += u64::from(outputs == 0);
    if tried.samples.len() < SAMPLES {
        tried.samples.push(TriedLetter { record: position(record), before: before.clone(), now: now() });
    }
}

fn add_failed(
    tried: &mut LetterTryOut,
    record: Record<'_>,
    (fingerprint, before): &(String, String),
    failure: &Failure<'_>,
) {
    let now = fingerprint_of(failure);
    if now == *fingerprint {
        tried.failed_as_before += 1;
        return;
    }
    tried.failed_differently += 1;
    let group = tried.new_failures.entry(now).or_insert_with(|| NewFailure {
        kind: failure.kind.to_string(),
        message: failure.message.to_string(),
        count: 0,
        samples: Vec::new(),
    });
    group.count += 1;
    if group.samples.len() < SAMPLES {
        let now = format!("{}: {}", failure.kind, failure.message);
        group.samples.push(TriedLetter { record: position(record), before: before.clone(), now });
    }
}

fn print(tried: &LetterTryOut, is_json: bool) {
    if is_json {
        return output::print_json(tried);
    }
    let LetterTryOut { letters, passed, outputs, skipped, failed_as_before, failed_differently, .. } = tried;
    for sample in &tried.samples {
        print_sample(sample, Colour::Green);
    }
    for (fingerprint, NewFailure { kind, message, count, samples }) in &tried.new_failures {
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

fn print_sample(TriedLetter { record, before, now }: &TriedLetter, colour: Colour) {
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
