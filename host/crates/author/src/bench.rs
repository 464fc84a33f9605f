//! `mapper-host bench`: what a plugin costs per record, in batches and one by one, against what it cost the last time.

mod history;
mod measure;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::Outcome;
use super::guest::{build_if_absent, engine};
use super::input::{Filled, Input, LineFormat, Lines};
use super::records::TOPIC;
use crate::config::BenchConfig;
use mapper_core::record::{Batch, NO_TIMESTAMP};
use mapper_core::shutdown::Halt;
use mapper_runtime::{Description, Digest, Effort, PluginFileError, describe};
use mapper_terminal::output;
use mapper_visits::{Generator, Profile};

use history::Run;
use measure::{Measured, measure};

/// How many visits are generated when there is no input.
const GENERATED_RECORDS: usize = 20_000;
/// What is taken of an input at most, so that it can be held in memory.
const MAX_INPUT_BYTES: usize = 256 << 20;

/// The records to map.
struct Sample {
    /// For a person.
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

    /// The same for the same records.
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

/// Measures, prints, and keeps what was measured.
///
/// # Errors
/// When the plugin can't be used, the input can't be read, or the history can't be kept.
pub fn bench(config: &BenchConfig) -> Result<Outcome, Halt> {
    build_if_absent(&config.plugin)?;
    let sample = sample(config)?;
    let bytes = super::guest::read(&config.plugin)?;
    // Without a cache, so that compiling is measured.
    let engine = Arc::new(engine(&config.guest, None)?);
    let described = describe(&engine, &bytes, &config.guest.set, Effort::Full);
    let Description { compiled_in, started_in, start_memory_bytes, plugin, .. } = described;
    let plugin = Arc::new(plugin.map_err(|source| PluginFileError { path: config.plugin.clone(), source })?);
    let identity = plugin.identity.clone();
    let measured = measure(&plugin, &sample.batches);
    let run = Run {
        at: Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        host: env!("CARGO_PKG_VERSION").to_owned(),
        debug: cfg!(debug_assertions),
        version: identity.version.clone(),
        digest: identity.digest.to_string(),
        input: sample.digest(),
        batch_records: config.guest.batch_records,
        batch_p50_us: measured.batch.p50,
        batch_p99_us: measured.batch.p99,
        single_p50_us: measured.single.p50,
        single_p99_us: measured.single.p99,
        compile_ms: millis(compiled_in),
        instance_ms: millis(started_in),
        memory_bytes: measured.memory_bytes.max(start_memory_bytes.unwrap_or_default()),
    };
    let failed = |error: anyhow::Error| Halt::internal(&error);
    let state_dir = config.state_dir.as_deref();
    let before = state_dir.map(|dir| history::last(dir, &identity.name)).transpose().map_err(failed)?.flatten();
    output::print_line(format!(
        "{}: {} {}, {:.1} MiB, sha256 {}",
        config.plugin.display(),
        identity.name,
        identity.version,
        mib(identity.bytes),
        &run.digest[..12]
    ));
    let each = sample.bytes() / sample.records();
    output::print_line(format!("{}: {} records, {each} B each", sample.name, sample.records()));
    output::print_line("");
    output::print_text(&format!("{}\n", table(&run, before.as_ref())));
    remarks(&measured, &run, before.as_ref()).into_iter().for_each(output::print_line);
    match state_dir {
        Some(dir) => history::keep(dir, &identity.name, &run).map_err(failed)?,
        None => output::print_line(
            "not kept: neither XDG_STATE_HOME nor HOME is set; give --state-dir DIR to compare with the next run",
        ),
    }
    Ok(Outcome::Good)
}

fn sample(config: &BenchConfig) -> Result<Sample, Halt> {
    let most = config.guest.batch_records;
    let sample = match &config.input {
        None => Sample { name: "generated visits (--input FILE takes yours)".to_owned(), batches: generated(most) },
        Some(path) => Sample {
            name: path.display().to_string(),
            batches: read(
                &mut Lines::open(std::slice::from_ref(path), LineFormat { format: config.format, tombstone: None })?,
                most,
            )?,
        },
    };
    if sample.records() == 0 {
        return Err(Halt::configuration(format!("{}: there is no record in it", sample.name)));
    }
    Ok(sample)
}

fn generated(most: usize) -> Vec<Batch> {
    let rows: Vec<_> = Generator::new(Profile::default()).take(GENERATED_RECORDS).collect();
    let batches = rows.chunks(most).map(|rows| {
        let mut batch = Batch::new(TOPIC);
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
/// When a line is no record: what is left out would not be measured.
fn read(input: &mut dyn Input, most: usize) -> Result<Vec<Batch>, Halt> {
    let mut batches = Vec::new();
    let (mut more, mut bytes) = (true, 0);
    while more && bytes < MAX_INPUT_BYTES {
        let mut filled = Filled::new(TOPIC);
        more = input.fill(&mut filled, most)?;
        if let Some((_, place, reason)) = filled.bad.first() {
            return Err(Halt::configuration(format!("{place}: not a record: {reason}")));
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

/// What a row is of, its number, and its unit.
type Row = (String, fn(&Run) -> f64, &'static str);

fn table(run: &Run, before: Option<&Run>) -> String {
    let batch = format!("batches of {}", run.batch_records);
    let rows: [Row; 7] = [
        (format!("{batch}, p50"), |run| run.batch_p50_us, "µs/record"),
        (format!("{batch}, p99"), |run| run.batch_p99_us, "µs/record"),
        ("one by one, p50".to_owned(), |run| run.single_p50_us, "µs/record"),
        ("one by one, p99".to_owned(), |run| run.single_p99_us, "µs/record"),
        ("to compile".to_owned(), |run| run.compile_ms, "ms"),
        ("a new instance".to_owned(), |run| run.instance_ms, "ms"),
        ("its memory".to_owned(), |run| mib(run.memory_bytes), "MiB"),
    ];
    let rows = rows.map(|(name, value, unit)| {
        let now = value(run);
        let then = before.map(value).map_or_else(String::new, |then| {
            let ratio = if then > 0.0 { format!("×{:.2}", now / then) } else { String::new() };
            format!("   before: {then:9.2}   {ratio}")
        });
        format!("{name:<24} {now:9.2} {unit:<9}{then}").trim_end().to_owned()
    });
    rows.join("\n")
}

fn remarks(measured: &Measured, run: &Run, before: Option<&Run>) -> Vec<String> {
    let mut remarks = vec![String::new()];
    if measured.failed > 0 {
        remarks.push(format!("{:.1} % of the records fail", 100.0 * measured.failed as f64 / measured.records as f64));
    }
    if measured.renewals > 0 {
        remarks.push(format!("instances were renewed {} times", measured.renewals));
    }
    if let Some(before) = before {
        let differs = [
            (before.digest != run.digest, "another build of the plugin"),
            (before.input != run.input, "other records"),
            (before.batch_records != run.batch_records, "other batches"),
            (before.host != run.host || before.debug != run.debug, "another host"),
        ];
        let differs: Vec<_> = differs.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect();
        let with =
            if differs.is_empty() { "all was the same".to_owned() } else { format!("with {}", differs.join(", ")) };
        remarks.push(format!("before: {}, {with}", before.at));
    }
    if run.debug {
        remarks.push(
            "this host is a debug build: measure with a release build (cargo build --release -p host)".to_owned(),
        );
    }
    remarks
}
