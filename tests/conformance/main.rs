//! One suite for all languages: a guest that does what its records say, and the reference job, each written in every language.
//!
//! It needs the tools of all of them, so it runs only when asked to: `cargo test -p host --test conformance`, after
//! `plugins/toolchains.sh`. No Kafka takes part.

mod c;
mod go_sdk;
#[path = "../e2e/guests.rs"]
#[expect(dead_code, reason = "the tests of single worlds need more of it")]
mod guests;
mod languages;
mod lines;
mod packages;
mod projects;
mod python_sdk;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use guests::{Guest, batch};
use languages::{C, Exact, GO, JAVASCRIPT, Language, PYTHON, RUST, TYPESCRIPT};
use lines::logged;
use mapper_core::record::Batch;
use mapper_pipeline::guest::Renewal;
use mapper_runtime::{Grants, Limits};

/// The host that cargo built for these tests.
const HOST: &str = env!("CARGO_BIN_EXE_mapper-host");

#[test]
fn rust() {
    conforms(&RUST);
}

#[test]
fn python() {
    conforms(&PYTHON);
}

#[test]
fn go() {
    conforms(&GO);
    go_holds_out();
}

/// More records than it takes Go to collect its garbage many times, and to write over what it had no claim to: with what it is
/// given in memory of the collector's own, it traps after some thousand.
fn go_holds_out() {
    const RECORDS: usize = 200_000;
    let mut guest = load(GO.commands, &[]).expect("it loads");
    let commands: Vec<String> = (0..500).map(|number| format!("value {number} {}", "x".repeat(number))).collect();
    let commands: Vec<&[u8]> = commands.iter().map(String::as_bytes).collect();
    let (batch, expected) = (batch(&commands), guest.verdicts(&batch(&commands)));
    for _ in 0..RECORDS / commands.len() {
        assert!(guest.verdicts(&batch) == expected, "the same, however often");
    }
    assert!(expected.iter().all(|seen| seen.starts_with("[- key ")), "{expected:?}");
    assert_eq!(guest.telemetry.guests.renewals(Renewal::Failure), 0);
}

#[test]
fn javascript() {
    conforms(&JAVASCRIPT);
}

#[test]
fn c() {
    conforms(&C);
}

#[test]
fn typescript() {
    conforms(&TYPESCRIPT);
}

/// Whether a command in this folder ends well, and what it writes.
fn ran_in(dir: &Path, command: &[&str]) -> (bool, String) {
    let output = Command::new(command[0]).args(&command[1..]).current_dir(dir).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

fn new_project(dir: &Path, language: &str, more: &[&str]) -> PathBuf {
    let project = dir.join("my_mapper");
    let arguments = [OsStr::new("new"), project.as_os_str(), OsStr::new("--lang"), OsStr::new(language)];
    host(&[&arguments[..], &more.iter().map(OsStr::new).collect::<Vec<_>>()].concat());
    project
}

fn built(project: &Path, plugin: &Path) -> Vec<u8> {
    host(&[OsStr::new("build"), project.as_os_str(), OsStr::new("--output"), plugin.as_os_str()]);
    std::fs::read(plugin).expect("a plugin")
}

fn host(arguments: &[&OsStr]) {
    let status =
        Command::new(HOST).env_remove("CARGO_TARGET_DIR").args(arguments).status().expect("the host can be run");
    assert!(status.success(), "mapper-host {arguments:?}");
}

fn conforms(language: &Language) {
    let mut guest = load(language.commands, &[]).expect("it loads");
    outputs_are_as_told(&mut guest, language);
    nulls_are_seen_as_such(&mut guest, language);
    lines_are_logged(&mut guest, language);
    sins_cost_their_own_record(&mut guest, language);
    settings_are_taken_or_refused(language);
    visits_are_reduced(language);
}

fn load(project: &str, settings: &[(&str, &str)]) -> Result<Guest, String> {
    guests::load_with(Limits::default(), Grants::default(), project, settings)
}

fn outputs_are_as_told(guest: &mut Guest, language: &Language) {
    let name = language.commands;
    let cases: &[(&[u8], &str)] = &[
        (b"skip", ""),
        (b"keep", "[- key keep Some(1001) kept]"),
        (b"value new", "[- key new Some(1002) kept]"),
        ("value ünï😀".as_bytes(), "[- key ünï😀 Some(1003) kept]"),
        (b"value", "[- key  Some(1004) kept]"),
        (b"tombstone", "[- key null Some(1005) kept]"),
        (b"key other", "[- other key other Some(1006) kept]"),
        (b"null-key", "[- null null-key Some(1007) kept]"),
        (b"topic other", "[other key topic other Some(1008) kept]"),
        (b"topic third", "[third key topic third Some(1009) kept]"),
        (b"time 5", "[- key time 5 Some(5) kept]"),
        (b"time 1698796800123", "[- key time 1698796800123 Some(1698796800123) kept]"),
        (b"headers", "[- key headers Some(1012) a=1,a=null,=\\xff]"),
        (b"no-headers", "[- key no-headers Some(1013) ]"),
        (b"three", "[- key one Some(1014) kept][- k three Some(7) ][other key three Some(1014) kept]"),
        (b"reject why not", "rejected: why not"),
        ("reject für 😀".as_bytes(), "rejected: für 😀"),
        (b"reject", "rejected: "),
        (b"\xff", "rejected: not UTF-8"),
        (b"see", "[- key visits/3@19 1019 6b6579 736565 h=31 h=null Some(1019) kept]"),
    ];
    let commands: Vec<&[u8]> = cases.iter().map(|(command, _)| *command).collect();
    // All at once, and each alone: an SDK makes columns only when an output needs them.
    let together = guest.verdicts(&batch(&commands));
    for (index, ((command, expected), seen)) in cases.iter().zip(together).enumerate() {
        assert_eq!(seen, *expected, "{name}: {}", command.escape_ascii());
        let alone = guest.verdicts(&batch(&commands).slice(index..index + 1));
        assert_eq!(alone, [*expected], "{name}: {} alone", command.escape_ascii());
    }
}

fn nulls_are_seen_as_such(guest: &mut Guest, language: &Language) {
    let name = language.commands;
    let mut batch = Batch::new("visits");
    let now = 1_767_225_600_123;
    batch.push((0, 0), -1, None, None, std::iter::empty());
    batch.push((0, 1), -1, None, Some(b"see"), [(&b"\xffname"[..], Some(&b""[..])), (b"", None)].into_iter());
    batch.push((i32::MAX, language.max_offset), now, Some(b""), Some(b"see"), std::iter::empty());
    let seen = guest.verdicts(&batch);
    assert_eq!(seen[0], "rejected: no value", "{name}");
    assert_eq!(seen[1], "[- null visits/0@1 none null 736565 \u{fffd}name= =null None kept]", "{name}");
    let place = format!("visits/2147483647@{}", language.max_offset);
    assert_eq!(seen[2], format!("[-  {place} {now}  736565 Some({now}) kept]"), "{name}");
}

fn lines_are_logged(guest: &mut Guest, language: &Language) {
    let name = language.commands;
    // First by the SDK, which says where it is before it logs a line; what is only printed makes the batch be taken again.
    for command in ["log", "print"] {
        let line = format!("{command} für 😀");
        let mut commands: Vec<&[u8]> = vec![b"skip"; 100];
        commands[57] = line.as_bytes();
        let (seen, lines) = logged(|| guest.verdicts(&batch(&commands)));
        assert_eq!(seen[57], format!("[- key {line} Some(1057) kept]"), "{name}");
        assert!(seen.iter().enumerate().all(|(index, seen)| index == 57 || seen.is_empty()), "{name}: {seen:?}");
        let expected = "INFO visits/3@57 für 😀";
        assert!(lines.contains(&expected.to_owned()), "{name}, {command}: {lines:?}");
        if command == "log" {
            assert_eq!(guest.telemetry.guests.renewals(Renewal::Failure), 0, "{name}");
        }
    }
}

fn sins_cost_their_own_record(guest: &mut Guest, language: &Language) {
    let name = language.commands;
    for (sin, kinds, words) in language.sins {
        let before = guest.telemetry.guests.renewals(Renewal::Failure);
        for at in [0, 41, 99] {
            let mut commands: Vec<&[u8]> = vec![b"value good"; 100];
            commands[at] = sin.as_bytes();
            for (index, told) in guest.map(&batch(&commands)).into_iter().enumerate() {
                if index == at {
                    let kind = told.text.split(": ").next().unwrap_or_default();
                    assert!(kinds.contains(&kind), "{name}, {sin}: {told:?}");
                    let has = |word: &&&str| told.text.contains(**word) || told.details.contains(**word);
                    assert_eq!(words.iter().find(|word| !has(word)), None, "{name}, {sin}: {told:?}");
                } else {
                    let time = 1000 + index;
                    let good = format!("[- key good Some({time}) kept]");
                    assert_eq!(told.text, good, "{name}, {index} beside {sin} at {at}");
                }
            }
        }
        // An exception that the SDK catches is no reason to give the instance up.
        if *kinds == ["rejected"] {
            assert_eq!(guest.telemetry.guests.renewals(Renewal::Failure), before, "{name}, {sin}");
        }
    }
}

fn settings_are_taken_or_refused(language: &Language) {
    let name = language.commands;
    assert!(load(name, &[("greeting", "hello")]).is_ok(), "{name}");
    for (setting, words) in [
        (("greeting", ""), "rejected its settings: an empty greeting"),
        (("greetings", "x"), "unknown setting 'greetings'; known are: greeting"),
    ] {
        let refused = load(name, &[setting]).err().expect("refused");
        assert!(refused.contains(words), "{name}: {refused}");
    }
}

fn visits_are_reduced(language: &Language) {
    let name = language.reduce_visit;
    let mut guest = load(name, &[]).expect("it loads");
    let cases = harness::reference::cases();
    for (cases, start) in cases.chunks(500).zip((1..).step_by(500)) {
        let mut batch = Batch::new("visits");
        for (offset, case) in cases.iter().enumerate() {
            let key = case.key.as_ref().map(String::as_bytes);
            batch.push((0, offset as i64), 0, key, Some(case.value.as_bytes()), std::iter::empty());
        }
        for ((case, seen), line) in cases.iter().zip(guest.verdicts(&batch)).zip(start..) {
            let parsed = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
            let key = case.key.as_deref().unwrap_or("null");
            let value = seen.strip_prefix(&format!("[- {key} ")).and_then(|seen| seen.strip_suffix(" Some(0) kept]"));
            let error = seen.strip_prefix("rejected: ");
            match (value, error, &case.reduced, &case.error) {
                (Some(value), _, Some(reduced), _) => assert_eq!(parsed(value), parsed(reduced), "{name}, line {line}"),
                (_, Some(said), _, Some(error)) => {
                    let is_exact = match language.exact {
                        Exact::All => true,
                        Exact::OfTimes => error.contains("isoformat"),
                        Exact::None => false,
                    };
                    assert!(!is_exact || said == error, "{name}, line {line}: {said}, not {error}");
                }
                _ => panic!("{name}, line {line}: {seen}"),
            }
        }
    }
    let refused = load(name, &[("x", "y")]).err().expect("refused");
    assert!(refused.contains("unknown setting 'x': this mapper has no settings"), "{name}: {refused}");
}
