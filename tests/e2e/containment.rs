//! Guests that sin, in both worlds: what goes wrong costs its own record, and no other.

use std::sync::Arc;

use harness::mutate::{Numbers, mutated};
use mapper_pipeline::guest::Renewal;
use mapper_runtime::{Effort, Engine, Grants, Limits, Plugin, Stage};

use crate::guests::{Guest, Told, WORLDS, batch, limits, load, load_with, quick};

const BATCH: usize = 100;

/// Maps a batch of good records with a command among them, which must be judged as if it were alone. Returns that verdict.
fn among_good_ones(guest: &mut Guest, at: usize, sin: &[u8]) -> Told {
    let mut commands: Vec<&[u8]> = vec![b"value good"; BATCH];
    commands[at] = sin;
    let told = guest.map(&batch(&commands));
    for (index, told) in told.iter().enumerate().filter(|(index, _)| *index != at) {
        let (time, sin) = (1000 + index, sin.escape_ascii());
        assert_eq!(told.text, format!("[- key good Some({time}) kept]"), "{index} beside {sin} at {at}");
    }
    told[at].clone()
}

#[test]
fn what_goes_wrong_costs_its_own_record_and_no_other() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        for (sin, kind, words) in [
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
                let told = among_good_ones(&mut guest, at, sin);
                let sin = sin.escape_ascii();
                assert!(
                    told.text.starts_with(&format!("{kind}: ")) && told.text.contains(words),
                    "{world}, {sin}: {told:?}"
                );
            }
        }
    }
}

#[test]
fn what_has_no_end_is_cut_whether_it_computes_or_sleeps() {
    for world in WORLDS {
        let mut guest = load(quick(), world);
        for sin in [&b"spin"[..], b"sleep 3600000"] {
            for at in [0, 41] {
                let told = among_good_ones(&mut guest, at, sin);
                assert_eq!(
                    told.text, "timeout: the guest exceeded its time limit (500ms; --record-timeout)",
                    "{world}"
                );
            }
        }
    }
}

#[test]
fn traps_on_every_third_record_cost_every_third_record() {
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
fn a_trap_that_is_the_doing_of_the_records_before_is_nobodys_failure() {
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
fn a_guest_that_corrupts_its_memory_harms_no_other_record() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        for at in [0, 50, 99] {
            let told = among_good_ones(&mut guest, at, b"corrupt");
            // It may get away with it, or trap itself.
            let kept = format!("[- key corrupt Some({}) kept]", 1000 + at);
            assert!(told.text == kept || told.text.starts_with("trap: "), "{world}: {told:?}");
        }
    }
}

#[test]
fn a_sleep_that_is_short_enough_is_slept() {
    for world in WORLDS {
        let told = among_good_ones(&mut load(limits(), world), 41, b"sleep 1");
        assert_eq!(told.text, "[- key sleep 1 Some(1041) kept]", "{world}");
    }
}

#[test]
fn each_record_of_a_batch_has_time_of_its_own() {
    for world in WORLDS {
        let mut guest = load(quick(), world);
        // Together they take far longer than one may.
        let commands: Vec<&[u8]> = vec![b"sleep 20"; 50];
        let seen = guest.verdicts(&batch(&commands));
        assert_eq!(seen[49], "[- key sleep 20 Some(1049) kept]", "{world}");
        assert!(seen.iter().all(|seen| seen.contains("key sleep 20")), "{world}: {seen:?}");
    }
}

#[test]
fn what_is_returned_is_bounded_and_a_batch_that_returns_too_much_is_taken_in_parts() {
    for world in WORLDS {
        // All that there is of a 32-bit memory, as far as this machine gives it.
        let large = Limits { memory_bytes: 2 << 30, ..limits() };
        let mut guest = load(large, world);
        let told = among_good_ones(&mut guest, 41, b"return 1000000000");
        assert!(
            told.text.contains("oversize: the return value of the plugin exceeds the limit (16MiB; --output-limit)"),
            "{world}: {told:?}"
        );
        let mut guest = load(Limits { output_bytes: 256 << 10, memory_bytes: 64 << 20, ..limits() }, world);
        let told = among_good_ones(&mut guest, 41, b"return-many 1000");
        assert!(told.text.starts_with("oversize: "), "{world}: {told:?}");
        let commands: Vec<&[u8]> = vec![b"return-many 100"; 40];
        let seen = guest.verdicts(&batch(&commands));
        assert!(seen.iter().all(|seen| seen.matches("[- key xxxx").count() == 100), "{world}");
    }
}

#[test]
fn an_instance_that_leaks_is_renewed_before_it_costs_a_record() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        // 16 MiB are there, and 80 are leaked, two of them a batch.
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
fn a_leak_that_runs_out_within_a_batch_is_nobodys_failure() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        let commands: Vec<&[u8]> = vec![b"leak 1048576"; 100];
        let seen = guest.verdicts(&batch(&commands));
        assert!(seen.iter().all(|seen| seen.starts_with("[- key leak")), "{world}: {seen:?}");
        assert!(guest.telemetry.guests.renewals(Renewal::Memory) > 0, "{world}");
    }
}

#[test]
fn an_instance_is_renewed_after_as_many_records_as_asked() {
    for world in WORLDS {
        let recycled = Limits { recycle_after: std::num::NonZeroUsize::new(30), ..limits() };
        let mut guest = load(recycled, world);
        let commands: Vec<&[u8]> = vec![b"count"; 50];
        let counts: Vec<String> = [0, 1].iter().flat_map(|_| guest.verdicts(&batch(&commands))).collect();
        for (index, seen) in counts.iter().enumerate() {
            assert!(seen.starts_with(&format!("[- key {} Some", index % 30 + 1)), "{world}, {index}: {seen}");
        }
        assert_eq!(guest.telemetry.guests.renewals(Renewal::Count), 3, "{world}");
        // Without that, state is kept.
        let seen = load(limits(), world).verdicts(&batch(&commands));
        assert!(seen[49].starts_with("[- key 50 Some"), "{world}: {}", seen[49]);
    }
}

#[test]
fn a_guest_that_prints_without_end_lives_on_and_is_cut() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        for sin in [&b"print-lines 100000"[..], b"print-endless 10000"] {
            let told = among_good_ones(&mut guest, 41, sin);
            assert!(told.text.starts_with("[- key print-"), "{world}: {told:?}");
        }
    }
}

#[test]
fn a_failure_tells_where_it_was_and_what_was_written_of_that_very_record() {
    for world in WORLDS {
        let mut guest = load(limits(), world);
        for at in [0, 41, 99] {
            let mut commands: Vec<&[u8]> = vec![b"print of another record"; BATCH];
            commands[at] = b"panic oh no";
            let told = guest.map(&batch(&commands))[at].clone();
            assert!(told.text.contains("guest output (tail): oh no"), "{world}: {told:?}");
            assert!(told.details.contains("panicked at") && told.details.contains("commands.rs:"), "{world}: {told:?}");
            assert!(told.details.contains("!") && told.details.contains("obey"), "{world}: {told:?}");
            // The line of a function, apart from what the panic wrote of itself.
            let place = |line: &str| line.trim_start().starts_with("at ") && line.contains("commands.rs:");
            assert!(told.details.lines().any(place), "{world}: {told:?}");
            assert!(!told.details.contains("of another record"), "{world}: {told:?}");
            assert!(told.details.len() < 20 << 10, "{world}");
        }
    }
}

#[test]
fn a_configuration_that_never_ends_or_fails_refuses_the_plugin() {
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

/// As for the cases of a candidate, each with settings of its own.
#[test]
fn a_plugin_takes_other_settings_without_being_compiled_again() {
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
fn traps_of_the_same_making_have_the_same_fingerprint_whatever_their_records_say() {
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
fn a_real_plugin_with_changes_is_refused_or_contained() {
    const MUTATIONS: usize = 100;
    let original = std::fs::read(crate::reduce_visit()).expect("the plugin");
    let engine = Arc::new(Engine::new(quick(), None).expect("an engine"));
    let mut numbers = Numbers::new(3);
    let mut judged = 0;
    for _ in 0..MUTATIONS {
        // What comes after the first half is debug information, to change which is of no consequence.
        let changed = mutated(&original, original.len() / 2, &mut numbers);
        let Ok(plugin) = Plugin::from_bytes(&engine, &changed, &[], Effort::Full) else { continue };
        let mut guest = Guest::of(plugin);
        judged += guest.map(&batch(&[b"{}", b"value", b"\xff"])).len();
    }
    assert!(judged > 0 && judged < MUTATIONS * 3, "{judged} records");
}
