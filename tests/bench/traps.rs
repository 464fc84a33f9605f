//! What it costs when one record of a hundred traps: mapping alone beside that of the same records without traps, memory over a
//! million of them, and the same comparison for the whole job on a real Kafka.
//!
//! `cargo bench -p host --bench traps`, with `-- --records N` for the second part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::host::Job;
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_pipeline::Mapper;
use mapper_pipeline::guest::Renewal;
use mapper_runtime::{Engine, Limits, Plugin, PluginMapper, helper};
use mapper_telemetry::Telemetry;

const HOST: &str = env!("CARGO_BIN_EXE_mapper-host");
const BATCH: usize = 500;
const ROUND_RECORDS: usize = 50_000;
const ROUNDS: usize = 11;
/// One record of this many traps.
const EVERY: usize = 100;
const TRAP: &[u8] = b"unreachable";
/// So many rounds that a good record takes about as long as a visit (`--bench mapping`).
const WORK: &[u8] = b"work 400";
const WORLDS: [&str; 2] = ["tests/guests/commands_batch", "tests/guests/commands_record"];
/// Of a whole job.
const JOB_RECORDS: usize = 400_000;
const JOB_PAIRS: usize = 3;

fn main() {
    // Backtraces need it for line numbers.
    helper::register_program(HOST.into());
    println!("| world | without traps, ns | 1 % traps, ns | throughput with ÷ without | a trap costs, µs |");
    println!("|---|---|---|---|---|");
    WORLDS.into_iter().for_each(compare);
    let records = std::env::args().skip_while(|arg| arg != "--records").nth(1);
    long_run(records.map_or(1_000_000, |records| records.parse().expect("--records takes a number")));
    println!("\n| world | records/s without traps | with 1 % | throughput with ÷ without |\n|---|---|---|---|");
    let kafka = Kafka::start_for_load().expect("a broker");
    WORLDS.into_iter().for_each(|world| compare_jobs(&kafka, world));
}

fn mapper(world: &str) -> (PluginMapper, Arc<Telemetry>) {
    let engine = Arc::new(Engine::new(Limits::default(), None).expect("the engine starts"));
    let plugin = Plugin::load(&engine, &harness::plugins::build(HOST, world), &[]).expect("the guest loads");
    let telemetry = Arc::new(Telemetry::default());
    (PluginMapper::new(Arc::new(plugin)).observed_by(telemetry.guest_observer(0)), telemetry)
}

/// What the record at this offset says, if one of so many traps. They are not at the same place of each batch.
fn value(offset: usize, every: usize) -> &'static [u8] {
    if offset * 61 % every == every - 1 { TRAP } else { WORK }
}

fn batches(records: usize, every: usize) -> Vec<Batch> {
    (0..records / BATCH)
        .map(|batch| {
            let mut records = Batch::new("visits");
            for offset in batch * BATCH..(batch + 1) * BATCH {
                let value = value(offset, every);
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

/// The whole job at exactly-once, in records a second from the start of the process to its end.
fn compare_jobs(kafka: &Kafka, world: &str) {
    let plugin = harness::plugins::build(HOST, world);
    let jobs = [usize::MAX, EVERY].map(|every| {
        let job = Job::new(kafka, "traps", HOST, &plugin);
        let record = |offset: usize| NewRecord::value(value(offset, every)).key("key").partition((offset % 2) as i32);
        topics::produce(kafka, &job.input, (0..JOB_RECORDS).map(record));
        (job, if every == EVERY { JOB_RECORDS / EVERY } else { 0 })
    });
    let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for pair in 0..=JOB_PAIRS {
        let taken = [0, 1].map(|which| {
            let (job, traps) = &jobs[which];
            let started = Instant::now();
            let ended = job.run_to_end(&["--group", &topics::unique("traps")]);
            let rate = JOB_RECORDS as f64 / started.elapsed().as_secs_f64();
            assert!(ended.output.contains(&format!(" {traps} dead letters")), "{}", ended.output);
            rate
        });
        // Not the first: it compiles the plugin.
        if pair > 0 {
            rates[0].push(taken[0]);
            rates[1].push(taken[1]);
            ratios.push(taken[1] / taken[0]);
        }
    }
    let [without, with] = rates.each_mut().map(|rates| median(rates));
    println!("| {world} | {without:.0} | {with:.0} | {:.2} |", median(&mut ratios));
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
