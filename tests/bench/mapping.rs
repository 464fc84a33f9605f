//! What it costs to map a visit, without Kafka: natively, and through the host as it runs (epoch deadline on).
//!
//! `cargo bench -p host --bench mapping`. Each row is the median of the ratios of rounds in which both ran in turn.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mapper_host::pipeline::Mapper;
use mapper_host::plugin::{Engine, Limits, Plugin, PluginMapper};
use mapper_host::record::Batch;
use mapper_host::verdict::{Verdict, Verdicts};
use mapper_host::visits::{Generator, Profile};

const RECORDS: usize = 20_000;
const ROUNDS: usize = 31;

fn main() {
    let plugin = std::env::args().find(|arg| arg.ends_with(".wasm")).unwrap_or_else(|| {
        harness::plugins::build(env!("CARGO_BIN_EXE_host"), "plugins/reduce_visit").display().to_string()
    });
    let engine = Arc::new(Engine::new(Limits::default(), None).expect("the engine starts"));
    let plugin = Arc::new(Plugin::load(&engine, Path::new(&plugin), &[]).expect("the plugin loads"));
    let rows: Vec<_> = Generator::new(Profile::default()).take(RECORDS).collect();
    let bytes: usize = rows.iter().map(|row| row.value.len()).sum();
    println!("{RECORDS} visits, mean {} bytes, {ROUNDS} rounds\n", bytes / RECORDS);
    println!("| batch of | native ns | host ns | host / native |");
    println!("|---|---|---|---|");
    for size in [1, 10, 100, 500, 1000] {
        let batches = batches(&rows, size);
        let mut mapper = PluginMapper::new(plugin.clone());
        let mut ratios = Vec::new();
        let (mut natives, mut hosts) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let native = time(|| native(&batches));
            let host = time(|| host(&mut mapper, &batches));
            if round > 0 {
                ratios.push(host / native);
                natives.push(native);
                hosts.push(host);
            }
        }
        let (native, host, ratio) = (median(&mut natives), median(&mut hosts), median(&mut ratios));
        println!("| {size} | {native:.0} | {host:.0} | {ratio:.2} |");
    }
}

fn batches(rows: &[mapper_host::visits::VisitRow], size: usize) -> Vec<Batch> {
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

/// Nanoseconds per record.
fn time(run: impl FnOnce() -> usize) -> f64 {
    let started = Instant::now();
    let good = run();
    assert!(good > RECORDS / 3, "only {good} visits were reduced");
    started.elapsed().as_nanos() as f64 / RECORDS as f64
}

/// The same mapping compiled in: from bytes to the bytes of the output, or to the text of the error.
fn native(batches: &[Batch]) -> usize {
    let mut good = 0;
    let mut value = Vec::new();
    for batch in batches {
        for record in batch.records() {
            match reduce_visit::reduce::reduce(record.value().unwrap_or_default()) {
                Ok(reduced) => {
                    value.clear();
                    serde_json::to_writer(&mut value, &reduced).expect("a visit can be written");
                    black_box(&value);
                    good += 1;
                }
                Err(refused) => {
                    black_box(refused.to_string());
                }
            }
        }
    }
    good
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
