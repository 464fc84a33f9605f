//! Components with changes, and random bytes, in great numbers: each is loaded, and run if it can be. Nothing of it may end the host, or
//! take more of it than the limits allow.
//!
//! `cargo bench -p host --bench hostile`, with `-- --mutations N --seed N`. It ends by itself if all is well, and prints what
//! became of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::components::{BATCH, BY_HAND, WIT, component};
use harness::mutate::{Numbers, mutated};
use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_pipeline::Mapper;
use mapper_runtime::{Effort, Engine, Limits, Plugin, PluginMapper};

const HOST: &str = env!("CARGO_BIN_EXE_mapper-host");
const RECORDS: usize = 5;
/// Every this many is one of a real plugin, which takes a hundred times as long to compile.
const REAL: usize = 100;

fn main() {
    let number = |name: &str, standard: usize| {
        let given = std::env::args().skip_while(|arg| arg != name).nth(1);
        given.map_or(standard, |text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number")))
    };
    let (mutations, seed) = (number("--mutations", 100_000), number("--seed", 1));
    let limits = Limits { record_timeout: Duration::from_millis(20), memory_bytes: 4 << 20, ..Limits::default() };
    let engine = Arc::new(Engine::new(limits, None).expect("the engine starts"));
    let small = component(BY_HAND, WIT, BATCH);
    let real = std::fs::read(harness::plugins::build(HOST, "plugins/reduce_visit")).expect("it was built");
    let code = end_of_code(&real);
    let mut numbers = Numbers::new(seed as u64);
    let (mut refused, mut loaded, mut mapped, mut failed) = (0, 0, 0, 0);
    let started = Instant::now();
    println!("seed {seed}");
    println!("| components | refused | loaded | records mapped | failed | RSS, MiB | s |");
    println!("|---|---|---|---|---|---|---|");
    for index in 1..=mutations {
        let component = match index % REAL {
            0 => mutated(&real, code, &mut numbers),
            1 => [b"\0asm\x0d\0\x01\0", &numbers.bytes(index % 4096)[..]].concat(),
            _ => mutated(&small, small.len(), &mut numbers),
        };
        match Plugin::from_bytes(&engine, &component, &[], Effort::OneThread) {
            Err(_) => refused += 1,
            Ok(plugin) => {
                loaded += 1;
                let failures = map(plugin);
                failed += failures;
                mapped += RECORDS - failures;
            }
        }
        if index % (mutations / 10).max(1) == 0 {
            let seconds = started.elapsed().as_secs();
            println!("| {index} | {refused} | {loaded} | {mapped} | {failed} | {:.1} | {seconds} |", rss_mib());
        }
    }
    assert!(refused > 0 && loaded > 0 && mapped > 0 && failed > 0, "all of it must have happened");
}

/// How many records failed.
fn map(plugin: Plugin) -> usize {
    let mut batch = Batch::new("visits");
    (0..RECORDS).for_each(|offset| batch.push((0, offset as i64), 0, Some(b"k"), Some(b"{}"), std::iter::empty()));
    let mut verdicts = Verdicts::default();
    PluginMapper::new(Arc::new(plugin)).map(&batch, &mut verdicts);
    assert_eq!(verdicts.len(), RECORDS);
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Failed(_))).count()
}

/// Where the largest code ends. What comes after it is mostly debug information, to change which is of no consequence.
fn end_of_code(component: &[u8]) -> usize {
    let payloads = wasmparser::Parser::new(0).parse_all(component).map_while(Result::ok);
    let codes = payloads.filter_map(|payload| match payload {
        wasmparser::Payload::CodeSectionStart { range, .. } => Some(range),
        _ => None,
    });
    codes.max_by_key(|code| code.end - code.start).map_or(component.len(), |code| code.end)
}

/// The memory of this process that is in RAM (`proc_pid_statm(5)`).
fn rss_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("its second number");
    pages * 4096.0 / f64::from(1 << 20)
}
