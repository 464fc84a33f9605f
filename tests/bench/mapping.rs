//! What it costs to map a visit, without Kafka: natively, and through the host as it runs (epoch deadline on).
//!
//! `cargo bench -p host --bench mapping`. Natively in two ways: as one usually writes it, with serde_json and chrono, and
//! with the very code of the plugin. Each row has the medians of rounds in which all ran in turn.

use std::borrow::Cow;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_pipeline::Mapper;
use mapper_runtime::{Engine, Limits, Plugin, PluginMapper};
use mapper_visits::{Generator, Profile};
use serde::{Deserialize, Serialize};

const RECORDS: usize = 20_000;
const ROUNDS: usize = 31;

fn main() {
    let plugin = std::env::args().find(|arg| arg.ends_with(".wasm")).unwrap_or_else(|| {
        harness::plugins::build(env!("CARGO_BIN_EXE_mapper-host"), "plugins/reduce_visit").display().to_string()
    });
    let engine = Arc::new(Engine::new(Limits::default(), None).expect("the engine starts"));
    let plugin = Arc::new(Plugin::load(&engine, Path::new(&plugin), &[]).expect("the plugin loads"));
    let rows: Vec<_> = Generator::new(Profile::default()).take(RECORDS).collect();
    let bytes: usize = rows.iter().map(|row| row.value.len()).sum();
    println!("{RECORDS} visits, mean {} bytes, {ROUNDS} rounds\n", bytes / RECORDS);
    println!("| batch of | native, usual ns | native, same code ns | host ns | host ÷ usual | host ÷ same code |");
    println!("|---|---|---|---|---|---|");
    for size in [1, 10, 100, 500, 1000] {
        let batches = batches(&rows, size);
        let mut mapper = PluginMapper::new(plugin.clone());
        let mut rounds: [Vec<f64>; 5] = Default::default();
        for round in 0..=ROUNDS {
            let usual = time(|| native(&batches, usual));
            let same = time(|| native(&batches, same));
            let host = time(|| host(&mut mapper, &batches));
            if round > 0 {
                let figures = [usual, same, host, host / usual, host / same];
                rounds.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
            }
        }
        let [usual, same, host, to_usual, to_same] = rounds.map(|mut figures| median(&mut figures));
        println!("| {size} | {usual:.0} | {same:.0} | {host:.0} | {to_usual:.2} | {to_same:.2} |");
    }
}

fn batches(rows: &[mapper_visits::VisitRow], size: usize) -> Vec<Batch> {
    rows.chunks(size)
        .map(|rows| {
            let mut batch = Batch::new("visits");
            for (offset, row) in rows.iter().enumerate() {
                let key = row.key.as_ref().map(String::as_bytes);
                batch.push((0, offset as i64), 0, key, Some(row.value.as_bytes()), std::iter::empty());
            }
            batch
        })
        .collect()
}

/// Nanoseconds of this thread's own CPU time per record: what else the machine does counts less.
fn time(run: impl FnOnce() -> usize) -> f64 {
    let started = cpu_time();
    let good = run();
    let took = cpu_time() - started;
    assert!(good > RECORDS / 3, "only {good} visits were reduced");
    took.as_nanos() as f64 / RECORDS as f64
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    let read = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(read, 0, "a thread has a clock of its own");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A mapping compiled in: from bytes to the bytes of the output, or to the text of the error.
fn native(batches: &[Batch], reduce: fn(&[u8], &mut Vec<u8>) -> Result<(), String>) -> usize {
    let mut good = 0;
    let mut value = Vec::new();
    for batch in batches {
        for record in batch.records() {
            value.clear();
            let reduced = reduce(record.value().unwrap_or_default(), &mut value);
            good += usize::from(reduced.is_ok());
            let _ = black_box((reduced, &value));
        }
    }
    good
}

/// That of the plugin.
fn same(visit: &[u8], output: &mut Vec<u8>) -> Result<(), String> {
    reduce_visit::reduce::reduce(visit).map_err(|refused| refused.to_string())?.write(output);
    Ok(())
}

#[derive(Deserialize)]
struct Visit<'a> {
    #[serde(borrow)]
    visit_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event_time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    page: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Reduced<'a> {
    visit_id: &'a Option<Cow<'a, str>>,
    event_time: i64,
    page: &'a Option<Cow<'a, str>>,
}

/// As one usually writes it.
fn usual(visit: &[u8], output: &mut Vec<u8>) -> Result<(), String> {
    let visit: Visit = serde_json::from_slice(visit).map_err(|error| error.to_string())?;
    let time = visit.event_time.as_deref().ok_or("fromisoformat: argument must be str")?;
    let time = chrono::DateTime::parse_from_rfc3339(time).map_err(|error| error.to_string())?;
    let reduced = Reduced { visit_id: &visit.visit_id, event_time: time.timestamp(), page: &visit.page };
    serde_json::to_writer(output, &reduced).map_err(|error| error.to_string())
}

fn host(mapper: &mut PluginMapper, batches: &[Batch]) -> usize {
    let mut good = 0;
    let mut verdicts = Verdicts::default();
    for batch in batches {
        verdicts.clear();
        mapper.map(batch, &mut verdicts);
        for (record, verdict) in batch.records().zip(verdicts.iter()) {
            match verdict {
                Verdict::Mapped(outputs) => outputs.for_each(|output| {
                    black_box(output.value(record));
                    good += 1;
                }),
                Verdict::Failed(failure) => {
                    black_box(failure);
                }
            }
        }
    }
    good
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
