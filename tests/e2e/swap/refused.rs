//! Broken candidates: refused at the right step, or rolled back, without an effect on the records.

use std::collections::BTreeSet;

use harness::components::{BATCH, BY_HAND, WIT, component};
use harness::kafka::Kafka;
use harness::mutate::{Numbers, mutated};
use mapper_api::versions::{Step, SwapOutcome};
use mapper_versions::Trigger;

use super::*;

const SHORT: [&str; 4] = ["--record-timeout", "1s", "--memory-limit", "16MiB"];

/// The pause between records of the background load.
const PAUSE: Duration = Duration::from_millis(50);

fn args(more: &[&'static str]) -> Vec<&'static str> {
    ARGS.into_iter().chain(SHORT).chain(["--watch", "off"]).chain(more.iter().copied()).collect()
}

/// A handwritten component from a core module and a WIT, both with changes.
fn by_hand(change: impl Fn(&str) -> String) -> Vec<u8> {
    component(&change(BY_HAND), &change(WIT), BATCH)
}

/// Guests that no compiler generates.
fn made_by_hand() -> [(&'static str, Vec<u8>, Step, &'static str); 4] {
    let statuses = "(memory.fill (local.get $list) (i32.const 0) (local.get $count))";
    let imported = "(module (import \"mapper-host:mapper/vault@1.0.0\" \"open\" (func (param i32 i32) (result i32)))";
    [
        (
            "returns what can't be",
            by_hand(|text| text.replace(statuses, &statuses.replace("const 0", "const 7"))),
            Step::TryOut,
            "--swap-max-regressions",
        ),
        (
            "returns what is nowhere",
            by_hand(|text| text.replace("(i32.const 2048)))", "(i32.const -8)))")),
            Step::TryOut,
            "--swap-max-regressions",
        ),
        (
            "a newer contract",
            by_hand(|text| text.replace("@1.0.0", "@1.7.0")),
            Step::Compile,
            "unsupported contract version 1.7.0",
        ),
        (
            "imports what it is not given",
            by_hand(|text| {
                let world =
                    "interface vault { open: func(name: string) -> u32; }\nworld mapper-batch {\n    import vault;";
                text.replace("(module", imported).replace("world mapper-batch {", world)
            }),
            Step::Compile,
            "unsupported imports: mapper-host:mapper/vault@1.0.0",
        ),
    ]
}

#[test]
fn broken_candidate_is_refused_and_the_stream_continues() {
    let file = File::new("one");
    let job = job("refused", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&["--swap-max-regressions", "3"]));
    warm_up(&job, 20);
    let client = client(&mut host);
    let cut = version("two");
    let mut candidates: Vec<(&str, Vec<u8>, Step, &str)> = vec![
        ("text", b"not a plugin".to_vec(), Step::Compile, "not WebAssembly"),
        ("module", b"\0asm\x01\0\0\0".to_vec(), Step::Compile, "core WebAssembly module"),
        ("nothing", b"\0asm\x0d\0\x01\0".to_vec(), Step::Compile, "not a mapper component"),
        ("cut", cut[..cut.len() / 2].to_vec(), Step::Compile, "not valid"),
        ("refuses its settings", version("unconfigured"), Step::Configure, "takes no settings at all"),
        ("traps while configured", version("unconfigurable"), Step::Configure, "no settings, no guest"),
        ("never returns from it", version("endless"), Step::Configure, "exceeded its time limit"),
        ("rejects all", version("rejects"), Step::TryOut, "--swap-max-regressions"),
        ("rejects some", version("rejects-some"), Step::TryOut, "--swap-max-regressions"),
        ("traps", version("traps"), Step::TryOut, "trap"),
        ("never returns", version("spins"), Step::TryOut, "timeout"),
        ("sleeps", version("sleeps"), Step::TryOut, "timeout"),
        ("overruns its stack", version("recurses"), Step::TryOut, "trap"),
        ("takes all memory", version("hoards"), Step::TryOut, "out-of-memory"),
        ("exits", version("exits"), Step::TryOut, "trap"),
        ("writes elsewhere", version("misroutes"), Step::TryOut, "--swap-max-regressions"),
        ("writes too much", version("too-large"), Step::TryOut, "--swap-max-regressions"),
    ];
    candidates.extend(made_by_hand());
    let count = candidates.len();
    let ((), sent) = while_records_flow(&job, (20, PAUSE), || {
        for (what, bytes, step, expected) in candidates {
            let report = client.swap(bytes, false, false).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!((report.outcome, report.step), (SwapOutcome::Refused, Some(step)), "{what}: {report:?}");
            let reason = report.reason.unwrap_or_default();
            assert!(reason.contains(expected), "{what}: {reason}");
            let last = status(&mut host).last.expect("it is in the status");
            assert_eq!((last.outcome, last.step), (SwapOutcome::Refused, Some(step)), "{what}");
            if step == Step::TryOut {
                let difference = &report.try_out.expect("a try-out").differences[0];
                assert!(difference.old.starts_with("one "), "{what}: {difference:?}");
            }
        }
    });
    let sent = 20 + sent;
    // A body that is too large is no plugin, and is not read.
    let error = client.swap(vec![0; (64 << 20) + 1], false, false).expect_err("it is too large").to_string();
    assert!(error.contains("67108864 bytes at most"), "{error}");
    assert_eq!(status(&mut host).current.digest, digest(&version("one")));
    let (_, metrics) = crate::admin::get(&crate::admin::address(&mut host), "/metrics");
    assert!(
        metrics.contains("mapper_host_swaps_total{pipeline=\"default\",outcome=\"refused\"} 21"),
        "{count} refusals: {metrics}"
    );
    assert!(metrics.contains("mapper_host_swap_refusals_total{pipeline=\"default\",step=\"try-out\"} 12"), "{metrics}");
    let ended = host.stop();
    assert_eq!(ended.output.matches("refused the swap").count(), count, "{}", ended.output);
    warm_up_from(&job, sent, &args(&[]));
}

/// A version that misbehaves without a failure may be swapped in, and loses no record.
#[test]
fn misbehaving_version_that_maps_correctly_loses_no_record() {
    let file = File::new("one");
    let job = job("odd", Kafka::shared(), &file.path());
    let began = Instant::now();
    let mut host = job.start(&[&ARGS[..], &["--watch", "off", "--record-timeout", "60s"]].concat());
    warm_up(&job, 20);
    let client = client(&mut host);
    let ((), sent) = while_records_flow(&job, (4, PAUSE), || {
        // Prints without end; traps on each third record of an instance.
        for word in ["prints", "every-third"] {
            let report = client.swap(version(word), false, false).expect("an answer");
            assert_eq!(report.outcome, SwapOutcome::Swapped, "{word}: {report:?}");
            wait_for("its outputs", || {
                topics::read_all(job.kafka, &job.output).iter().filter(|output| is_by(word, output)).count() > 20
            });
        }
        // Overwrites its own memory: it may succeed or trap.
        let report = client.swap(version("corrupts"), false, false).expect("an answer");
        assert!(report.outcome == SwapOutcome::Swapped || report.step == Some(Step::TryOut), "{report:?}");
    });
    let sent = 20 + sent;
    topics::read_until(job.kafka, &job.output, sent, SOON);
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    // The log has at most a hundred lines a second of its output.
    let printed = ended.output.lines().filter(|line| line.contains(" of one record")).count();
    let most = 100 * (began.elapsed().as_secs() as usize + 2);
    assert!((100..most).contains(&printed), "{printed} lines, at most {most}");
    assert!(ended.output.contains("dropped guest log lines"), "{}", ended.output);
    warm_up_from(&job, sent, &args(&[]));
}

/// Mutated candidates and random bytes: a candidate that is not refused may be active, and can be rolled back.
#[test]
fn mutated_candidate_is_refused_or_can_be_rolled_back() {
    let file = File::new("one");
    let job = job("mutated", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    let client = client(&mut host);
    let (small, real, mut numbers) = (component(BY_HAND, WIT, BATCH), version("two"), Numbers::new(4));
    let (mut refused, mut swapped) = (0, 0);
    for number in 0..60 {
        let candidate = match number % 6 {
            0 => numbers.bytes(number * 100 + 1),
            1 => [b"\0asm\x0d\0\x01\0", &numbers.bytes(number * 100)[..]].concat(),
            // Behind that is debug information.
            2 => mutated(&real, real.len() / 2, &mut numbers),
            _ => mutated(&small, small.len(), &mut numbers),
        };
        let report = client.swap(candidate, false, false).unwrap_or_else(|error| panic!("{number}: {error}"));
        match report.outcome {
            SwapOutcome::Refused => refused += 1,
            SwapOutcome::Unchanged => {}
            _ => {
                swapped += 1;
                produce(&job, "good", 2);
                // Unless its probation has ended already.
                if status(&mut host).current.digest != digest(&version("one")) {
                    let _ = client.rollback().expect("an answer");
                }
            }
        }
        wait_for("the way back", || status(&mut host).current.digest == digest(&version("one")));
    }
    assert!(refused > 0 && swapped > 0, "{refused} refused, {swapped} swapped");
    come_through(&job, "good", 20);
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
}

/// Another run maps all records.
fn warm_up_from(job: &Job<'_>, before: usize, args: &[&str]) {
    produce(job, "good", 20);
    job.run_to_end(args);
    assert_eq!(topics::read_all(job.kafka, &job.output).len(), before + 20);
    assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), 0);
}

#[test]
fn version_that_crashes_in_its_probation_is_rolled_back_and_loses_no_record_exactly_once() {
    crash_in_probation("exactly-once");
}

#[test]
fn version_that_crashes_in_its_probation_is_rolled_back_and_loses_no_record_at_least_once() {
    crash_in_probation("at-least-once");
}

fn crash_in_probation(delivery: &'static str) {
    let file = File::new("one");
    let job = job("probation", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&["--probation", "500", "--delivery", delivery]));
    warm_up(&job, 200);
    let bad = version("late-traps");
    let report = client(&mut host).swap(bad.clone(), false, false).expect("an answer");
    assert_eq!(report.outcome, SwapOutcome::Swapped, "{report:?}");
    let probation = status(&mut host).probation.expect("a probation");
    assert_eq!((probation.max_records, probation.ratio_before), (500, Some(0.0)));
    produce(&job, "late", 10);
    wait_for("the rollback", || status(&mut host).last.is_some_and(|last| last.by == Trigger::Probation));
    let now = status(&mut host);
    assert_eq!(now.current.digest, digest(&version("one")));
    let reason = now.last.and_then(|report| report.reason).unwrap_or_default();
    assert!(reason.contains("ended in a trap"), "{reason}");
    // The restored version maps the records that the other could not, and those of its aborted transaction.
    topics::read_until(job.kafka, &job.output, 210, SOON);
    come_through(&job, "late", 20);
    let outputs = topics::read_all(job.kafka, &job.output);
    // An output names its record. At least once, duplicates may occur after a rebalance on a slow machine.
    let records: BTreeSet<_> = outputs.iter().map(|output| output.value.clone()).collect();
    assert_eq!(records.len(), 230, "each record came out");
    assert!(outputs.len() == 230 || delivery == "at-least-once", "{} outputs: {}", outputs.len(), host.output());
    assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), 0, "no record is lost to the other");
    let failed =
        client(&mut host).history().expect("a history").into_iter().find(|view| view.version.digest == digest(&bad));
    let failed = failed.expect("its term");
    assert!(failed.probation_failure.is_some_and(|reason| reason.contains("ended in a trap")));
    assert_eq!(failed.tally.records_in, 0);
    assert!(failed.offsets.values().flatten().all(|span| span.to == Some(span.from)), "{:?}", failed.offsets);
}

#[test]
fn version_with_more_failures_is_rolled_back_and_another_stays() {
    let file = File::new("one");
    let job = job("ratio", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&["--probation", "200", "--probation-tolerance", "0.1"]));
    warm_up(&job, 200);
    let client = client(&mut host);
    assert_eq!(client.swap(version("late-rejects"), false, false).expect("an answer").outcome, SwapOutcome::Swapped);
    // 10 of 100 may fail, and 20 of 200.
    produce(&job, "late", 20);
    produce(&job, "good", 180);
    host.wait_for("has passed its probation");
    assert_eq!(status(&mut host).current.digest, digest(&version("late-rejects")));
    // A probation ends when records are mapped. A rollback aborts uncommitted records; the next version would map them
    // too, and pass its own probation with them.
    topics::read_until(job.kafka, &job.output, 380, SOON);
    topics::read_until(job.kafka, &job.dead_letters, 20, SOON);
    client.rollback().expect("a way back");
    // With --force: whether the try-out has the records that this version rejects depends on the batches.
    assert_eq!(client.swap(version("late-rejects"), false, true).expect("an answer").outcome, SwapOutcome::Swapped);
    produce(&job, "late", 60);
    wait_for("the rollback", || status(&mut host).last.is_some_and(|last| last.by == Trigger::Probation));
    assert_eq!(status(&mut host).current.digest, digest(&version("one")));
}

#[test]
fn forced_swap_skips_the_try_out_and_probation_rolls_it_back() {
    let file = File::new("one");
    let job = job("forced", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    let client = client(&mut host);
    let report = client.swap(version("traps"), false, true).expect("an answer");
    assert_eq!((report.outcome, report.forced, report.try_out), (SwapOutcome::Swapped, true, None));
    assert!(client.history().expect("a history")[0].forced);
    produce(&job, "good", 1);
    wait_for("the rollback", || status(&mut host).last.is_some_and(|last| last.by == Trigger::Probation));
    let forced: Vec<bool> = client.history().expect("a history").iter().map(|view| view.forced).collect();
    assert_eq!(forced, [false, true, false]);
}

#[test]
fn cases_beside_the_plugin_are_part_of_the_try_out() {
    let file = File::new("one");
    let case = r#"{"name": "nothing comes of it", "input": {"value": "good"}, "skipped": true}"#;
    fs::write(file.at("plugin.cases.jsonl"), format!("{case}\n")).expect("a file");
    let job = job("cases", Kafka::shared(), &file.path());
    let mut host = job.start(&args(&[]));
    warm_up(&job, 20);
    let client = client(&mut host);
    let report = client.swap(version("two"), false, false).expect("an answer");
    assert_eq!((report.outcome, report.step), (SwapOutcome::Refused, Some(Step::TryOut)), "{report:?}");
    let found = report.try_out.expect("a try-out");
    assert_eq!((found.records, found.cases, found.broken), (20, 1, 1));
    assert!(found.differences[0].record.contains("nothing comes of it"), "{found:?}");
    assert_eq!(client.swap(version("skips"), false, false).expect("an answer").outcome, SwapOutcome::Swapped);
    fs::write(file.at("plugin.cases.jsonl"), "nonsense\n").expect("a file");
    let report = client.swap(version("one"), false, false).expect("an answer");
    assert!(report.reason.expect("a reason").contains("plugin.cases.jsonl, line 1"));
    // The cases of `mapper-host new` and a folder of cases are used as well, without a restart.
    fs::remove_file(file.at("plugin.cases.jsonl")).expect("it was there");
    fs::write(file.at("cases.jsonl"), format!("{case}\n")).expect("a file");
    fs::create_dir(file.at("cases")).expect("a folder");
    fs::write(file.at("cases/more.jsonl"), format!("{case}\n{case}\n")).expect("a file");
    let report = client.swap(version("two"), true, false).expect("an answer");
    assert_eq!((report.outcome, report.step), (SwapOutcome::Refused, Some(Step::TryOut)), "{report:?}");
    let found = report.try_out.expect("a try-out");
    assert_eq!((found.cases, found.broken), (3, 3), "{found:?}");
}
