//! Runs whole hosts on a simulated Kafka cluster, one run a seed: `cargo bench -p simulation --bench simulate`.
//!
//! `-- --seeds N --from S` runs other seeds than the first 100 000. `-- --seed S --trace` runs one and prints what happens in it. It
//! ends with an error if a seed fails, and prints the command that replays it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use simulation::{Failure, Statistics};

const SEEDS: u64 = 100_000;
/// The most failures that are printed.
const MOST_PRINTED: usize = 20;

struct Arguments {
    from: u64,
    seeds: u64,
    is_traced: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(mistake) => {
            eprintln!("{mistake}. Give --seeds N and --from S, or --seed S and --trace");
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    let results = if arguments.is_traced { trace(&arguments) } else { run(&arguments) };
    let took = started.elapsed().as_secs_f64();
    let failures: Vec<&Failure> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let mut all = Statistics::default();
    results.iter().filter_map(|result| result.as_ref().ok()).for_each(|statistics| all.add(statistics));
    let speed = all.virtual_seconds as f64 / took;
    println!(
        "| seeds | failed | inputs | steps | commits | crashes | freezes | lost | swaps | virtual s | s | virtual ÷ real |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {took:.1} | {speed:.0} |",
        results.len(),
        failures.len(),
        all.inputs,
        all.steps,
        all.commits,
        all.crashes,
        all.freezes,
        all.lost,
        all.swaps,
        all.virtual_seconds
    );
    failures.iter().take(MOST_PRINTED).for_each(|failure| println!("{failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments { from: 0, seeds: SEEDS, is_traced: false };
    // Cargo adds `--bench`.
    let mut arguments = arguments.filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let mut number = || {
            let value = arguments.next().unwrap_or_default();
            value.parse::<u64>().map_err(|_| format!("{name} needs a number: \"{value}\""))
        };
        match name.as_str() {
            "--seeds" => parsed.seeds = number()?,
            "--from" => parsed.from = number()?,
            "--seed" => (parsed.from, parsed.seeds) = (number()?, 1),
            "--trace" => parsed.is_traced = true,
            _ => return Err(format!("unknown argument: {name}")),
        }
    }
    Ok(parsed)
}

fn seeds(arguments: &Arguments) -> std::ops::Range<u64> {
    arguments.from..arguments.from.saturating_add(arguments.seeds)
}

fn trace(arguments: &Arguments) -> Vec<Result<Statistics, Failure>> {
    let trace = |seed| {
        let run = simulation::run(seed, true);
        run.trace.iter().for_each(|line| println!("{line}"));
        run.result
    };
    seeds(arguments).map(trace).collect()
}

fn run(arguments: &Arguments) -> Vec<Result<Statistics, Failure>> {
    let (range, next) = (seeds(arguments), AtomicU64::new(arguments.from));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let work = || {
        let seeds =
            std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| range.contains(seed)));
        seeds.map(|seed| simulation::run(seed, false).result).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a run catches its panics")).collect()
    })
}
