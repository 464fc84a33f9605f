//! What it costs when one record of a hundred traps, without Kafka: throughput beside that of the same records without traps,
//! and memory over a million of them.
//!
//! `cargo bench -p host --bench traps`, with `-- --records N` for the second part.

use std::sync::Arc;
use std::time::Duration;

use mapper_host::pipeline::Mapper;
use mapper_host::plugin::{Engine, Limits, Plugin, PluginMapper};
use mapper_host::record::Batch;
use mapper_host::telemetry::{Renewal, Telemetry};
use mapper_host::verdict::{Verdict, Verdicts};

const HOST: &str = env!("CARGO_BIN_EXE_host");
const BATCH: usize = 500;
const ROUND_RECORDS: usize = 50_000;
const ROUNDS: usize = 11;
/// One record of this many traps.
const EVERY: usize = 100;
/// Rounds of the work of a good record: with it, one takes about as long as a visit (`--bench mapping`).
const TRAP: &[u8] = b"unreachable";
const WORK: &[u8] = b"work 400";

fn main() {
    println!("| world | without traps, ns | 1 % traps, ns | throughput with ÷ without | a trap costs, µs |");
    println!("|---|---|---|---|---|");
    for world in ["tests/guests/commands_batch", "tests/guests/commands_record"] {
        compare(world);
    }
    let records = std::env::args().skip_while(|arg| arg != "--records").nth(1);
    long_run(records.map_or(1_000_000, |records| records.parse().expect("--records takes a number")));
}

fn mapper(world: &str) -> (PluginMapper, Arc<Telemetry>) {
    let engine = Arc::new(Engine::new(Limits::default(), None).expect("the engine starts"));
    let plugin = Plugin::load(&engine, &harness::plugins::build(HOST, world), &[]).expect("the guest loads");
    let telemetry = Arc::new(Telemetry::default());
    (PluginMapper::new(Arc::new(plugin)).reporting(telemetry.clone(), 0), telemetry)
}

fn batches(records: usize, every: usize) -> Vec<Batch> {
    (0..records / BATCH)
        .map(|batch| {
            let mut records = Batch::new("visits");
            for offset in batch * BATCH..(batch + 1) * BATCH {
                // Not at the same place of each batch.
                let traps = offset * 61 % every == every - 1;
                let value = if traps { TRAP } else { WORK };
                records.push((0, offset as i64), 0, Some(b"key"), Some(value), std::iter::empty());
            }
            records
        })
        .collect()
}

/// CPU nanoseconds per record; checks that those that trap fail, and no other.
fn round(mapper: &mut PluginMapper, batches: &[Batch], traps: usize) -> f64 {
    let started = cpu_time();
    let mut failed = 0;
    let mut verdicts = Verdicts::default();
    for batch in batches {
        verdicts.clear();
        mapper.map(batch, &mut verdicts);
        failed += verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Failed(_))).count();
    }
    assert_eq!(failed, traps);
    (cpu_time() - started).as_nanos() as f64 / (batches.len() * BATCH) as f64
}

fn compare(world: &str) {
    let (mut mapper, _) = mapper(world);
    let (good, bad) = (batches(ROUND_RECORDS, usize::MAX), batches(ROUND_RECORDS, EVERY));
    let (mut goods, mut bads, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..=ROUNDS {
        let without = round(&mut mapper, &good, 0);
        let with = round(&mut mapper, &bad, ROUND_RECORDS / EVERY);
        if number > 0 {
            goods.push(without);
            bads.push(with);
            ratios.push(without / with);
        }
    }
    let (without, with, ratio) = (median(&mut goods), median(&mut bads), median(&mut ratios));
    let trap = (with - without) * EVERY as f64 / 1000.0;
    println!("| {world} | {without:.0} | {with:.0} | {ratio:.2} | {trap:.0} |");
}

fn long_run(records: usize) {
    println!("\n| records, 1 % of which trap | RSS, MiB | instances given up |");
    println!("|---|---|---|");
    let (mut mapper, telemetry) = mapper("tests/guests/commands_batch");
    let bad = batches(ROUND_RECORDS, EVERY);
    let rounds = records / ROUND_RECORDS;
    for number in 1..=rounds {
        round(&mut mapper, &bad, ROUND_RECORDS / EVERY);
        if number == 1 || number % (rounds / 10).max(1) == 0 {
            let renewals = telemetry.guests.renewals(Renewal::Failure);
            println!("| {} | {:.1} | {renewals} |", number * ROUND_RECORDS, rss_mib());
        }
    }
}

/// What this thread has computed: the machine may be shared.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it is given a place to write to.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The memory of this process that is in RAM (`proc_pid_statm(5)`).
fn rss_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("its second number");
    pages * 4096.0 / f64::from(1 << 20)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
