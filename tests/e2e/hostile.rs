//! Components that exhaust the compiler or the reader of debug information: the host rejects them and keeps running.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use harness::host::Job;
use harness::hostile::{self, Fault, Sections};
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord};
use mapper_api::versions::{Step, SwapOutcome};
use mapper_host::remote::client::Client;

use crate::HOST;
use crate::author::run;

const SOON: Duration = Duration::from_secs(60);
/// Lets the compilation of [`endless`] take minutes.
const PATIENT: [&str; 4] = ["--compile-timeout", "1h", "--compile-memory", "1024GiB"];

/// Debug information that crashes its readers, or takes minutes or gigabytes of them.
fn debug_information() -> [(&'static str, Sections); 5] {
    [
        ("deep nesting", hostile::nested_functions(1_000_000)),
        ("a cycle", hostile::origin_of_itself()),
        ("many tables of abbreviations", hostile::many_units(20_000)),
        ("a long line table", hostile::long_line_table(15 << 20)),
        ("a line table that is too long", hostile::long_line_table(20 << 20)),
    ]
}

/// Takes minutes to compile, one function at a time.
fn endless() -> Vec<u8> {
    hostile::with_module(&hostile::locals(100_000, 50_000))
}

fn write(dir: &Path, name: &str, component: &[u8]) -> String {
    let path = dir.join(name);
    fs::write(&path, component).expect("a file");
    path.display().to_string()
}

#[test]
fn trap_with_hostile_debug_information_has_a_backtrace_of_function_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    fs::write(dir.join("in.txt"), "a\n").expect("a file");
    for (what, sections) in debug_information() {
        let file = write(dir, "process.wasm", &hostile::guest(Fault::TrapInProcess, &sections));
        let (code, _, err) = run(dir, &["map", &file, "in.txt", "--verbose"]);
        assert!(code == Some(10) && err.contains("unreachable"), "{what}: {err}");
        assert!(err.contains("error while executing at wasm backtrace:"), "{what}: {err}");
        assert!(err.contains("!process"), "{what}: {err}");
        let file = write(dir, "configure.wasm", &hostile::guest(Fault::TrapInConfigure, &sections));
        let (code, out, err) = run(dir, &["check", &file]);
        assert!(code == Some(3) && out.contains("unreachable"), "{what}: {out}{err}");
    }
}

#[test]
fn component_that_is_too_expensive_to_compile_is_refused_with_the_limit() {
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let nested = |levels: usize| {
        (1..levels).fold(b"\0asm\x0d\0\x01\0".to_vec(), |inner, _| {
            let length: Vec<u8> = (0..5).map(|byte| (inner.len() >> (7 * byte)) as u8 & 0x7f | 0x80).collect();
            // A section of 5 bytes of length, the last of which ends it.
            [b"\0asm\x0d\0\x01\0\x04", &length[..4], &[length[4] & 0x7f], &inner].concat()
        })
    };
    for (component, args, expected) in [
        (endless(), &[][..], "too many locals and parameters: "),
        (
            endless(),
            &["--compile-memory", "1024GiB", "--compile-timeout", "1s"],
            "exceeded the CPU time limit: 1s (--compile-timeout)",
        ),
        (
            hostile::with_module(&hostile::long_function(2_000_000)),
            &["--compile-memory", "64MiB"],
            "64MiB (--compile-memory)",
        ),
        (hostile::with_module(&hostile::locals(600_000, 0)), &[], "too many functions"),
        (nested(200), &[], "nested too deeply"),
    ] {
        let file = write(dir, "plugin.wasm", &component);
        for command in [&["check"][..], &["bench"], &["test", "--cases", "cases.jsonl"], &["map", "--limit", "1"]] {
            fs::write(dir.join("cases.jsonl"), "{\"input\": {\"value\": \"a\"}}\n").expect("a file");
            let (code, out, err) = run(dir, &[command, &[file.as_str()], args].concat());
            assert!(code == Some(3) && format!("{out}{err}").contains(expected), "{expected}: {command:?}: {out}{err}");
        }
    }
}

#[test]
fn host_survives_traps_and_hostile_candidates() {
    let dir = tempfile::tempdir().expect("a folder");
    let traps = hostile::guest(Fault::TrapInProcess, &hostile::nested_functions(1_000_000));
    let file = write(dir.path(), "plugin.wasm", &traps);
    let job = Job::new(Kafka::shared(), "hostile", HOST, Path::new(&file));
    let args = ["--admin", "127.0.0.1:0", "--watch", "off", "--compile-timeout", "1s"];
    let mut host = job.start(&args);
    let produce = |count: i32| {
        topics::produce(job.kafka, &job.input, (0..count).map(|number| NewRecord::value("a").partition(number % 2)))
    };
    produce(4);
    let letters = topics::read_until(job.kafka, &job.dead_letters, 4, SOON);
    for letter in letters {
        let backtrace = letters::header(&letter, "mapper-host.backtrace");
        assert!(backtrace.is_some_and(|backtrace| backtrace.contains("!process")), "{:?}", letter.headers);
    }
    let client = Client::new(&format!("http://{}", crate::admin::address(&mut host)), None).expect("a client");
    for (component, step, expected) in [
        (endless(), Step::Compile, "too many locals"),
        // Within the counts of 1 GiB, and more than a second.
        (hostile::with_module(&hostile::locals(1300, 50_000)), Step::Compile, "--compile-timeout"),
        (hostile::guest(Fault::TrapInConfigure, &hostile::nested_functions(1_000_000)), Step::Configure, "unreachable"),
    ] {
        let report = client.swap(component, false, false).expect("an answer");
        assert_eq!((report.outcome, report.step), (SwapOutcome::Refused, Some(step)), "{expected}: {report:?}");
        assert!(report.reason.as_deref().is_some_and(|reason| reason.contains(expected)), "{expected}: {report:?}");
    }
    let report = client.swap(hostile::guest(Fault::None, &[]), false, false).expect("an answer");
    assert_eq!(report.outcome, SwapOutcome::Swapped, "{report:?}");
    produce(4);
    topics::read_until(job.kafka, &job.output, 4, SOON);
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}

/// The helper processes of a process that compile.
fn compilers(parent: u32) -> Vec<u32> {
    let processes =
        fs::read_dir("/proc").expect("Linux has it").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let arguments = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    processes.filter(|pid| arguments(pid).contains(&format!("\0__helper\0compile\0{parent}\0"))).collect()
}

fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !reached() {
        assert!(Instant::now() < deadline, "{what} never happened");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn signal_during_a_compilation_cancels_it_and_a_killed_host_leaves_no_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = write(dir.path(), "plugin.wasm", &hostile::guest(Fault::None, &[]));
    let job = Job::new(Kafka::shared(), "cancelled", HOST, Path::new(&file));
    let args = [&["--admin", "127.0.0.1:0", "--watch", "off"][..], &PATIENT].concat();
    for (kill, records) in [(false, 1), (true, 2)] {
        let mut host = job.start(&args);
        let address = crate::admin::address(&mut host);
        let client = Client::new(&format!("http://{address}"), None).expect("a client");
        topics::produce(job.kafka, &job.input, [NewRecord::value("a")]);
        topics::read_until(job.kafka, &job.output, records, SOON);
        let pid = host.pid();
        thread::scope(|scope| {
            // There is no answer when the host is killed.
            scope.spawn(|| client.swap(endless(), false, false));
            wait_until("a compilation", || !compilers(pid).is_empty());
            if kill {
                host.kill();
            } else {
                let ended = host.stop();
                assert_eq!(ended.code, Some(0), "{}", ended.output);
                assert!(
                    ended.output.contains("the compilation was cancelled: the host is shutting down"),
                    "{}",
                    ended.output
                );
            }
            wait_until("the end of the compilation", || compilers(pid).is_empty());
        });
    }
}

#[test]
fn signal_during_a_swap_that_never_ends_ends_the_host() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = write(dir.path(), "plugin.wasm", &hostile::guest(Fault::None, &[]));
    let job = Job::new(Kafka::shared(), "spinning", HOST, Path::new(&file));
    // It is already compiled, so there is no compilation to cancel.
    let spins = hostile::guest(Fault::SpinInConfigure, &[]);
    let candidate = write(dir.path(), "candidate.wasm", &spins);
    let cache = job.dir().join("cache").display().to_string();
    let (code, _, err) = run(dir.path(), &["map", &candidate, "--cache-dir", &cache]);
    assert!(code == Some(3) && err.contains("exceeded its time limit"), "{err}");
    let mut host = job.start(&["--admin", "127.0.0.1:0", "--watch", "off", "--record-timeout", "1h"]);
    let address = crate::admin::address(&mut host);
    let client = Client::new(&format!("http://{address}"), None).expect("a client");
    topics::produce(job.kafka, &job.input, [NewRecord::value("a")]);
    topics::read_until(job.kafka, &job.output, 1, SOON);
    thread::scope(|scope| {
        // There is no answer.
        scope.spawn(|| client.swap(spins, false, false));
        wait_until("a swap", || crate::admin::status(&address)["versions"]["swapping"] == "compile");
        let ended = host.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        assert!(ended.output.contains("ended without waiting for the swap in progress"), "{}", ended.output);
    });
}

#[test]
fn signal_while_the_first_plugin_is_compiled_is_a_clean_shutdown() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = write(dir.path(), "plugin.wasm", &endless());
    let job = Job::new(Kafka::shared(), "starting", HOST, Path::new(&file));
    let host = job.start(&PATIENT);
    wait_until("a compilation", || !compilers(host.pid()).is_empty());
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains("clean shutdown before the plugin was loaded"), "{}", ended.output);
}
