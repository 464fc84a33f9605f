//! `mapper-host bench`: measures the time per record, in batches and one by one, and compares it with the previous run.

mod history;
mod measure;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::Outcome;
use super::guest::{build_if_absent, engine};
use super::input::{Input, InputBatch, LineFormat, Lines};
use super::records::DEFAULT_TOPIC;
use crate::config::BenchConfig;
use mapper_core::identity::Digest;
use mapper_core::record::{Batch, NO_TIMESTAMP};
use mapper_core::shutdown::Halt;
use mapper_runtime::{Description, Effort, PluginFileError, describe};
use mapper_terminal::output;
use mapper_visits::{Generator, Profile};

use history::Run;
use measure::{Measurement, measure};

/// Number of generated visits if there is no input file.
const GENERATED_RECORDS: usize = 20_000;
/// The sample is in memory, so only this part of the input is read.
const MAX_INPUT_BYTES: usize = 256 << 20;

struct Sample {
    name: String,
    batches: Vec<Batch>,
}

impl Sample {
    fn records(&self) -> usize {
        self.batches.iter().map(Batch::len).sum()
    }

    fn bytes(&self) -> usize {
        self.batches.iter().map(Batch::bytes).sum()
    }

    /// Identifies the records.
    fn digest(&self) -> String {
        let mut bytes = Vec::new();
        for batch in &self.batches {
            for column in [&batch.keys, &batch.values] {
                bytes.extend_from_slice(Digest::hash_bytes(&column.bytes).to_string().as_bytes());
            }
        }
        Digest::hash_bytes(&bytes).to_string()
    }
}

/// # Errors
/// The plugin can't be loaded, the input can't be read, or the result can't be stored.
pub fn bench(config: &BenchConfig) -> Result<Outcome, Halt> {
    build_if_absent(&config.plugin)?;
    let sample = sample(config)?;
    let bytes = super::guest::read(&config.plugin)?;
    // Without a cache, to measure the compile time.
    let engine = Arc::new(engine(&config.guest, None)?);
    let description = describe(&engine, &bytes, &config.guest.set, Effort::Full);
    let Description { compiled_in, started_in, start_memory_bytes, plugin, .. } = description;
    let plugin = Arc::new(plugin.map_err(|source| PluginFileError { path: config.plugin.clone(), source })?);
    let identity = plugin.identity.clone();
    let measurement = measure(&plugin, &sample.batches);
    let run = Run {
        at: Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        host: env!("CARGO_PKG_VERSION").to_owned(),
        debug: cfg!(debug_assertions),
        version: identity.version.clone(),
        digest: identity.digest.to_string(),
        input: sample.digest(),
        batch_records: config.guest.batch_records,
        batch_p50_us: measurement.batch.p50,
        batch_p99_us: measurement.batch.p99,
        single_p50_us: measurement.single.p50,
        single_p99_us: measurement.single.p99,
        compile_ms: millis(compiled_in),
        instance_ms: millis(started_in),
        memory_bytes: measurement.memory_bytes.max(start_memory_bytes.unwrap_or_default()),
    };
    let failed = |error: anyhow::Error| Halt::internal(error);
    let state_dir = config.state_dir.as_deref();
    let previous = state_dir.map(|dir| history::last(dir, &identity.name)).transpose().map_err(failed)?.flatten();
    output::print_line(format!(
        "{}: {} {}, {:.1} MiB, sha256 {}",
        config.plugin.display(),
        identity.name,
        identity.version,
        mib(identity.bytes),
        &run.digest[..12]
    ));
    let record_bytes = sample.bytes() / sample.records();
    output::print_line(format!("{}: {} records, {record_bytes} B each", sample.name, sample.records()));
    output::print_line("");
    output::print_text(&format!("{}\n", table(&run, previous.as_ref())));
    remarks(&measurement, &run, previous.as_ref()).into_iter().for_each(output::print_line);
    match state_dir {
        Some(dir) => history::append(dir, &identity.name, &run).map_err(failed)?,
        None => output::print_line(
            "the result was not stored: neither XDG_STATE_HOME nor HOME is set. Set --state-dir DIR to compare with the next run",
        ),
    }
    Ok(Outcome::Success)
}

fn sample(config: &BenchConfig) -> Result<Sample, Halt> {
    let batch_records = config.guest.batch_records;
    let sample = match &config.input {
        None => Sample {
            name: "generated visits (set another input with --input FILE)".to_owned(),
            batches: generate(batch_records),
        },
        Some(path) => Sample {
            name: path.display().to_string(),
            batches: read(
                &mut Lines::open(std::slice::from_ref(path), LineFormat { format: config.format, tombstone: None })?,
                batch_records,
            )?,
        },
    };
    if sample.records() == 0 {
        return Err(Halt::configuration(format!("{}: the input has no records", sample.name)));
    }
    Ok(sample)
}

fn generate(batch_records: usize) -> Vec<Batch> {
    let rows: Vec<_> = Generator::new(Profile::default()).take(GENERATED_RECORDS).collect();
    let batches = rows.chunks(batch_records).map(|rows| {
        let mut batch = Batch::new(DEFAULT_TOPIC);
        for (offset, row) in rows.iter().enumerate() {
            let key = row.key.as_ref().map(String::as_bytes);
            let at = (0, offset as i64);
            batch.push(at, NO_TIMESTAMP, key, Some(row.value.as_bytes()), std::iter::empty());
        }
        batch
    });
    batches.collect()
}

/// # Errors
/// A line is not a record. Skipping it would distort the measurement.
fn read(input: &mut dyn Input, batch_records: usize) -> Result<Vec<Batch>, Halt> {
    let mut batches = Vec::new();
    let (mut has_more, mut bytes) = (true, 0);
    while has_more && bytes < MAX_INPUT_BYTES {
        let mut filled = InputBatch::new(DEFAULT_TOPIC);
        has_more = input.fill(&mut filled, batch_records)?;
        if let Some(malformed) = filled.malformed.first() {
            return Err(Halt::configuration(format!("{}: not a record: {}", malformed.location, malformed.reason)));
        }
        bytes += filled.batch.bytes();
        if !filled.batch.is_empty() {
            batches.push(filled.batch);
        }
    }
    Ok(batches)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn millis(duration: Option<Duration>) -> f64 {
    duration.unwrap_or_default().as_secs_f64() * 1e3
}

struct Row {
    name: String,
    value: fn(&Run) -> f64,
    unit: &'static str,
}

fn table(run: &Run, previous: Option<&Run>) -> String {
    let batch = format!("batches of {}", run.batch_records);
    let row = |name: &str, value, unit| Row { name: name.to_owned(), value, unit };
    let rows: [Row; 7] = [
        row(&format!("{batch}, p50"), |run| run.batch_p50_us, "µs/record"),
        row(&format!("{batch}, p99"), |run| run.batch_p99_us, "µs/record"),
        row("one by one, p50", |run| run.single_p50_us, "µs/record"),
        row("one by one, p99", |run| run.single_p99_us, "µs/record"),
        row("compile", |run| run.compile_ms, "ms"),
        row("new instance", |run| run.instance_ms, "ms"),
        row("memory", |run| mib(run.memory_bytes), "MiB"),
    ];
    let rows = rows.map(|Row { name, value, unit }| {
        let current = value(run);
        let comparison = previous.map(value).map_or_else(String::new, |previous| {
            let ratio = if previous > 0.0 { format!("×{:.2}", current / previous) } else { String::new() };
            format!("   before: {previous:9.2}   {ratio}")
        });
        format!("{name:<24} {current:9.2} {unit:<9}{comparison}").trim_end().to_owned()
    });
    rows.join("\n")
}

fn remarks(measurement: &Measurement, run: &Run, previous: Option<&Run>) -> Vec<String> {
    let mut remarks = vec![String::new()];
    if measurement.failed > 0 {
        let percent = 100.0 * measurement.failed as f64 / measurement.records as f64;
        remarks.push(format!("{percent:.1} % of the records failed"));
    }
    if measurement.renewals > 0 {
        remarks.push(format!("instance renewals: {}", measurement.renewals));
    }
    if let Some(previous) = previous {
        let differences = [
            (previous.digest != run.digest, "another build of the plugin"),
            (previous.input != run.input, "other records"),
            (previous.batch_records != run.batch_records, "another batch size"),
            (previous.host != run.host || previous.debug != run.debug, "another host"),
        ];
        let differences: Vec<_> =
            differences.into_iter().filter_map(|(differs, name)| differs.then_some(name)).collect();
        let conditions = match differences.is_empty() {
            true => "same conditions".to_owned(),
            false => format!("with {}", differences.join(", ")),
        };
        remarks.push(format!("before: {}, {conditions}", previous.at));
    }
    if run.debug {
        remarks
            .push("debug build of the host: use a release build to measure (cargo build --release -p host)".to_owned());
    }
    remarks
}
