//! Faulty guests in both worlds: a failure is the failure of its own record only.

use std::sync::Arc;

use harness::mutate::{Numbers, mutated};
use mapper_pipeline::guest::Renewal;
use mapper_runtime::{Effort, Engine, Grants, Limits, Plugin, Stage};

use crate::guests::{Guest, VerdictText, WORLDS, batch, limits, load, load_with, quick};

const BATCH: usize = 100;

/// Maps a batch of good records with one faulty command. Checks the verdicts of the good records, and returns the verdict of the
/// command.
fn map_among_good_records(guest: &mut Guest, at: usize, command: &[u8]) -> VerdictText {
    let mut commands: Vec<&[u8]> = vec![b"value good"; BATCH];
    commands[at] = command;
    let actual = guest.map(&batch(&commands));
    for (index, actual) in actual.iter().enumerate().filter(|(index, _)| *index != at) {
        let (time, command) = (1000 + index, command.escape_ascii());
        assert_eq!(actual.text, format!("[- key good Some({time}) kept]"), "{index} beside {command} at {at}");
    }
    actual[at].clone()
}

#[test]
fn guest_failure_is_the_failure_of_its_own_record_only() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        for (command, kind, words) in [
            (&b"reject no good"[..], "rejected", "no good"),
            (b"panic oh no", "trap", "oh no"),
            (b"unreachable", "trap", "unreachable"),
            (b"out-of-bounds", "trap", "out of bounds memory access"),
            (b"divide", "trap", "integer divide by zero"),
            (b"overflow 255", "trap", "a number with room for one more"),
            (b"recurse", "trap", "call stack exhausted"),
            (b"allocate", "out-of-memory", "the memory of the plugin exceeds the limit (16MiB; --memory-limit)"),
            (b"exit", "trap", "exit status"),
        ] {
            for at in [0, 41, 99] {
                let actual = map_among_good_records(&mut guest, at, command);
                let command = command.escape_ascii();
                assert!(
                    actual.text.starts_with(&format!("{kind}: ")) && actual.text.contains(words),
                    "{world}, {command}: {actual:?}"
                );
            }
        }
    }
}

#[test]
fn endless_computation_or_sleep_is_a_timeout() {
    for world in WORLDS {
        let mut guest = load(quick(), world);
        for command in [&b"spin"[..], b"sleep 3600000"] {
            for at in [0, 41] {
                let actual = map_among_good_records(&mut guest, at, command);
                assert_eq!(
                    actual.text, "timeout: the guest exceeded its time limit (500ms; --record-timeout)",
                    "{world}"
                );
            }
        }
    }
}

#[test]
fn trap_on_every_third_record_fails_every_third_record() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        let commands: Vec<&[u8]> =
            (0..300).map(|index| if index % 3 == 1 { &b"panic x"[..] } else { b"skip" }).collect();
        let seen = guest.verdicts(&batch(&commands));
        let failed: Vec<usize> = (0..300).filter(|index| !seen[*index].is_empty()).collect();
        assert_eq!(failed, (0..300).filter(|index| index % 3 == 1).collect::<Vec<_>>(), "{world}");
        assert!(guest.telemetry.guests.renewals(Renewal::Failure) >= 100, "{world}");
    }
}

#[test]
fn trap_caused_by_earlier_records_fails_no_record() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        // Every 7th record of an instance traps, and none does when it is the first.
        let commands: Vec<&[u8]> = vec![b"every 7"; 50];
        let seen = guest.verdicts(&batch(&commands));
        let good: Vec<String> = (0..50).map(|index| format!("[- key every 7 Some({}) kept]", 1000 + index)).collect();
        assert_eq!(seen, good, "{world}");
    }
}

#[test]
fn corrupted_guest_memory_affects_no_other_record() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        for at in [0, 50, 99] {
            let actual = map_among_good_records(&mut guest, at, b"corrupt");
            // The record may succeed, or trap.
            let kept = format!("[- key corrupt Some({}) kept]", 1000 + at);
            assert!(actual.text == kept || actual.text.starts_with("trap: "), "{world}: {actual:?}");
        }
    }
}

#[test]
fn sleep_within_the_record_timeout_completes() {
    for world in WORLDS {
        let actual = map_among_good_records(&mut load(limits(), world), 41, b"sleep 1");
        assert_eq!(actual.text, "[- key sleep 1 Some(1041) kept]", "{world}");
    }
}

#[test]
fn each_record_of_a_batch_has_its_own_timeout() {
    for world in WORLDS {
        let mut guest = load(quick(), world);
        // Together they take far longer than the timeout of one record.
        let commands: Vec<&[u8]> = vec![b"sleep 20"; 50];
        let seen = guest.verdicts(&batch(&commands));
        assert_eq!(seen[49], "[- key sleep 20 Some(1049) kept]", "{world}");
        assert!(seen.iter().all(|seen| seen.contains("key sleep 20")), "{world}: {seen:?}");
    }
}

#[test]
fn returned_bytes_are_limited_and_a_batch_beyond_the_limit_is_split() {
    for world in WORLDS {
        // The whole 32-bit memory, as far as this machine has it.
        let large = Limits { memory_bytes: 2 << 30, ..limits() };
        let mut guest = load(large, world);
        let actual = map_among_good_records(&mut guest, 41, b"return 1000000000");
        assert!(
            actual.text.contains("oversize: the return value of the plugin exceeds the limit (16MiB; --output-limit)"),
            "{world}: {actual:?}"
        );
        let mut guest = load(Limits { output_bytes: 256 << 10, memory_bytes: 64 << 20, ..limits() }, world);
        let actual = map_among_good_records(&mut guest, 41, b"return-many 1000");
        assert!(actual.text.starts_with("oversize: "), "{world}: {actual:?}");
        let commands: Vec<&[u8]> = vec![b"return-many 100"; 40];
        let seen = guest.verdicts(&batch(&commands));
        assert!(seen.iter().all(|seen| seen.matches("[- key xxxx").count() == 100), "{world}");
    }
}

#[test]
fn leaking_instance_is_renewed_before_a_record_fails() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        // The limit is 16 MiB; the guest leaks 80 MiB, 2 MiB in a batch.
        let commands: Vec<&[u8]> = vec![b"leak 104858"; 20];
        for _ in 0..40 {
            let seen = guest.verdicts(&batch(&commands));
            assert!(seen.iter().all(|seen| seen.starts_with("[- key leak")), "{world}: {seen:?}");
        }
        let guests = &guest.telemetry.guests;
        assert!(guests.renewals(Renewal::Memory) >= 5, "{world}: {}", guests.renewals(Renewal::Memory));
        assert_eq!((guests.renewals(Renewal::Failure), guests.renewals(Renewal::Count)), (0, 0), "{world}");
        assert!(guests.memory().into_values().all(|bytes| bytes <= 16 << 20), "{world}");
    }
}

#[test]
fn leak_that_exhausts_memory_within_a_batch_fails_no_record() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        let commands: Vec<&[u8]> = vec![b"leak 1048576"; 100];
        let seen = guest.verdicts(&batch(&commands));
        assert!(seen.iter().all(|seen| seen.starts_with("[- key leak")), "{world}: {seen:?}");
        assert!(guest.telemetry.guests.renewals(Renewal::Memory) > 0, "{world}");
    }
}

#[test]
fn instance_is_renewed_after_the_configured_number_of_records() {
    for world in WORLDS {
        let recycled = Limits { recycle_after: std::num::NonZeroUsize::new(30), ..limits() };
        let mut guest = load(recycled, world);
        let commands: Vec<&[u8]> = vec![b"count"; 50];
        let counts: Vec<String> = [0, 1].iter().flat_map(|_| guest.verdicts(&batch(&commands))).collect();
        for (index, seen) in counts.iter().enumerate() {
            assert!(seen.starts_with(&format!("[- key {} Some", index % 30 + 1)), "{world}, {index}: {seen}");
        }
        assert_eq!(guest.telemetry.guests.renewals(Renewal::Count), 3, "{world}");
        // Without the limit, the instance keeps its state.
        let seen = load(limits(), world).verdicts(&batch(&commands));
        assert!(seen[49].starts_with("[- key 50 Some"), "{world}: {}", seen[49]);
    }
}

#[test]
fn guest_that_prints_without_end_is_truncated_and_not_failed() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        for command in [&b"print-lines 100000"[..], b"print-endless 10000"] {
            let actual = map_among_good_records(&mut guest, 41, command);
            assert!(actual.text.starts_with("[- key print-"), "{world}: {actual:?}");
        }
    }
}

#[test]
fn failure_has_the_backtrace_and_the_stderr_of_its_record() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        for at in [0, 41, 99] {
            let mut commands: Vec<&[u8]> = vec![b"print of another record"; BATCH];
            commands[at] = b"panic oh no";
            let actual = guest.map(&batch(&commands))[at].clone();
            assert!(actual.text.contains("guest output (tail): oh no"), "{world}: {actual:?}");
            assert!(
                actual.details.contains("panicked at") && actual.details.contains("commands.rs:"),
                "{world}: {actual:?}"
            );
            assert!(actual.details.contains("!") && actual.details.contains("obey"), "{world}: {actual:?}");
            // The line of a function, without the message of the panic.
            let is_frame = |line: &str| line.trim_start().starts_with("at ") && line.contains("commands.rs:");
            assert!(actual.details.lines().any(is_frame), "{world}: {actual:?}");
            assert!(!actual.details.contains("of another record"), "{world}: {actual:?}");
            assert!(actual.details.len() < 20 << 10, "{world}");
        }
    }
}

#[test]
fn failed_or_endless_configuration_rejects_the_plugin() {
    for world in WORLDS {
        for (greeting, words) in
            [("spin", "exceeded its time limit"), ("sleep", "exceeded its time limit"), ("panic", "no greeting at all")]
        {
            let refused =
                load_with(quick(), Grants::default(), world, &[("greeting", greeting)]).err().expect("refused");
            assert!(refused.contains("failed to start") && refused.contains(words), "{world}: {refused}");
        }
    }
}

/// The cases of a candidate use this: each has its own settings.
#[test]
fn plugin_is_reconfigured_without_a_second_compilation() {
    let engine = Arc::new(Engine::new(quick(), None).expect("an engine"));
    let bytes = std::fs::read(harness::plugins::build(crate::HOST, WORLDS[0])).expect("the guest");
    let plugin = Plugin::from_bytes(&engine, &bytes, &[], Effort::Full).expect("it loads");
    let with = |greeting: &str| plugin.with_settings(&[("greeting".to_owned(), greeting.to_owned())]);
    let other = with("hello").expect("it takes them");
    assert_eq!(other.identity, plugin.identity);
    assert_eq!(Guest::of(other).verdicts(&batch(&[b"value good"])), ["[- key good Some(1000) kept]"]);
    for (greeting, words) in
        [("", "an empty greeting"), ("panic", "no greeting at all"), ("spin", "exceeded its time limit")]
    {
        let error = with(greeting).err().expect("rejected");
        assert!(error.stage == Stage::Configure && error.reason.contains(words), "{greeting}: {error}");
    }
}

#[test]
fn traps_with_the_same_cause_have_the_same_fingerprint() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        let records =
            batch(&[b"panic no room for 7", b"panic no room for 123456", b"unreachable", b"panic not at all"]);
        let [one, same, trap, other] = guest.fingerprints(&records).try_into().expect("four failures");
        assert_eq!(one, same, "{world}");
        assert!(one != trap && one != other && trap != other, "{world}");
    }
}

#[test]
fn mutated_plugin_is_rejected_or_contained() {
    const MUTATIONS: usize = 100;
    let original = std::fs::read(crate::reduce_visit()).expect("the plugin");
    let engine = Arc::new(Engine::new(quick(), None).expect("an engine"));
    let mut numbers = Numbers::new(3);
    let mut judged = 0;
    for _ in 0..MUTATIONS {
        // The second half is debug information; a change there has no effect.
        let changed = mutated(&original, original.len() / 2, &mut numbers);
        let Ok(plugin) = Plugin::from_bytes(&engine, &changed, &[], Effort::Full) else { continue };
        let mut guest = Guest::of(plugin);
        judged += guest.map(&batch(&[b"{}", b"value", b"\xff"])).len();
    }
    assert!(judged > 0 && judged < MUTATIONS * 3, "{judged} records");
}
