//! Real guests in the plugin runtime: both worlds give the same verdicts, and what goes wrong costs its record only.

use std::sync::Arc;
use std::time::Duration;

use mapper_host::pipeline::Mapper;
use mapper_host::plugin::{Engine, Limits, Plugin, PluginMapper};
use mapper_host::record::Batch;
use mapper_host::verdict::{Verdict, Verdicts};

use crate::HOST;

const WORLDS: [&str; 2] = ["tests/guests/commands_batch", "tests/guests/commands_record"];

fn load(project: &str, settings: &[(&str, &str)]) -> Result<PluginMapper, String> {
    let limits = Limits { record_timeout: Duration::from_millis(300), memory_bytes: 16 << 20 };
    let engine = Arc::new(Engine::new(limits, None).expect("an engine"));
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let plugin = Plugin::load(&engine, &harness::plugins::build(HOST, project), &settings);
    plugin.map(|plugin| PluginMapper::new(Arc::new(plugin))).map_err(|refused| refused.to_string())
}

/// A record per command, with a key, a timestamp and headers to keep.
fn batch(commands: &[&[u8]]) -> Batch {
    let mut batch = Batch::new("visits");
    for (offset, command) in commands.iter().enumerate() {
        let headers = [(&b"h"[..], Some(&b"1"[..])), (b"h", None)];
        batch.push((3, offset as i64), 1000 + offset as i64, Some(b"key"), Some(command), headers.into_iter());
    }
    batch
}

/// The verdicts as text, one line a record.
fn verdicts(mapper: &mut PluginMapper, batch: &Batch) -> Vec<String> {
    let mut verdicts = Verdicts::default();
    mapper.map(batch, &mut verdicts);
    let text = |bytes: Option<&[u8]>| match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => "null".to_owned(),
        Some((Ok(text), _)) => text.to_owned(),
        Some((Err(_), bytes)) => bytes.escape_ascii().to_string(),
    };
    verdicts
        .iter()
        .zip(batch.records())
        .map(|(verdict, record)| match verdict {
            Verdict::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
            Verdict::Mapped(outputs) => outputs
                .map(|output| {
                    let headers: Vec<_> = match output.own_headers() {
                        None => vec!["kept".to_owned()],
                        Some(own) => own.map(|(name, value)| format!("{}={}", text(Some(name)), text(value))).collect(),
                    };
                    format!(
                        "[{} {} {} {:?} {}]",
                        output.topic().unwrap_or("-"),
                        text(output.key(record)),
                        text(output.value(record)),
                        output.timestamp_ms(record),
                        headers.join(",")
                    )
                })
                .collect(),
        })
        .collect()
}

#[test]
fn both_worlds_give_the_same_verdicts() {
    let cases: &[(&[u8], &str)] = &[
        (b"skip", ""),
        (b"keep", "[- key keep Some(1001) kept]"),
        (b"value new", "[- key new Some(1002) kept]"),
        (b"value", "[- key  Some(1003) kept]"),
        (b"tombstone", "[- key null Some(1004) kept]"),
        (b"key other", "[- other key other Some(1005) kept]"),
        (b"null-key", "[- null null-key Some(1006) kept]"),
        (b"topic other", "[other key topic other Some(1007) kept]"),
        (b"time 5", "[- key time 5 Some(5) kept]"),
        (b"headers", "[- key headers Some(1009) a=1,a=null,=\\xff]"),
        (b"no-headers", "[- key no-headers Some(1010) ]"),
        (b"three", "[- key one Some(1011) kept][- k three Some(7) ][other key three Some(1011) kept]"),
        (b"reject why not", "rejected: why not"),
        (b"reject", "rejected: "),
        (b"\xff", "rejected: not UTF-8"),
        (
            b"see",
            "[- key visits 3 15 Some(1015) Some([107, 101, 121]) Some([115, 101, 101]) \
             [(\"h\", Some([49])), (\"h\", None)] Some(1015) kept]",
        ),
    ];
    let commands: Vec<&[u8]> = cases.iter().map(|(command, _)| *command).collect();
    for world in WORLDS {
        let mut mapper = load(world, &[]).expect("it loads");
        let seen = verdicts(&mut mapper, &batch(&commands));
        for ((command, expected), seen) in cases.iter().zip(seen) {
            assert_eq!(seen, *expected, "{world}: {}", command.escape_ascii());
        }
    }
}

#[test]
fn nulls_and_no_timestamp_are_seen_as_such() {
    for world in WORLDS {
        let mut mapper = load(world, &[]).expect("it loads");
        let mut batch = Batch::new("visits");
        batch.push((0, 0), -1, None, None, std::iter::empty());
        batch.push((0, 1), -1, None, Some(b"see"), [(&b"\xffname"[..], Some(&b""[..]))].into_iter());
        let seen = verdicts(&mut mapper, &batch);
        assert_eq!(seen[0], "rejected: no value", "{world}");
        let value = "visits 0 1 None None Some([115, 101, 101]) [(\"\u{fffd}name\", Some([]))]";
        assert_eq!(seen[1], format!("[- null {value} None kept]"), "{world}");
    }
}

#[test]
fn what_goes_wrong_costs_its_own_record_and_no_other() {
    for world in WORLDS {
        let mut mapper = load(world, &[]).expect("it loads");
        for (sin, kind, words) in [
            (&b"panic oh no"[..], "trap", "oh no"),
            (b"recurse", "trap", "stack"),
            (b"allocate", "trap", "memory allocation of 1048576 bytes failed"),
            (b"exit", "trap", "exit status"),
            (b"spin", "timeout", "longer than it may"),
        ] {
            for at in [0, 41, 99] {
                let mut commands: Vec<&[u8]> = vec![b"value good"; 100];
                commands[at] = sin;
                let seen = verdicts(&mut mapper, &batch(&commands));
                for (index, seen) in seen.iter().enumerate() {
                    if index == at {
                        assert!(seen.starts_with(&format!("{kind}: ")) && seen.contains(words), "{world}: {seen}");
                    } else {
                        let time = 1000 + index;
                        assert_eq!(*seen, format!("[- key good Some({time}) kept]"), "{world}, {index} beside {at}");
                    }
                }
            }
        }
        let commands: Vec<&[u8]> =
            (0..30).map(|index| if index % 3 == 1 { &b"panic x"[..] } else { b"skip" }).collect();
        let seen = verdicts(&mut mapper, &batch(&commands));
        let failed: Vec<usize> = (0..30).filter(|index| !seen[*index].is_empty()).collect();
        assert_eq!(failed, (0..30).filter(|index| index % 3 == 1).collect::<Vec<_>>(), "{world}");
    }
}

#[test]
fn settings_are_taken_or_refused_with_the_words_of_the_plugin() {
    for world in WORLDS {
        assert!(load(world, &[("greeting", "hello")]).is_ok());
        let refused = load(world, &[("greeting", "")]).err().expect("refused");
        assert!(refused.contains("it refuses its settings: an empty greeting"), "{refused}");
        let refused = load(world, &[("greetings", "x")]).err().expect("refused");
        assert!(refused.contains("unknown setting 'greetings'; known are: greeting"), "{refused}");
    }
}
