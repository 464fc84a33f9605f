//! A guest that says in each output which version of it made it. What it does is a word in its own file, so that tests make as
//! many versions of it as they like by writing another word there, without building anything.

#[path = "../../sins.rs"]
mod sins;

use mapper_sdk::{Output, Record, Settings, mapper};
use sins::{corrupt, count, hoard, recurse};

/// The word, after a mark by which tests find it, and before dots.
static WORD: [u8; 32] = *b"version-word:plain..............";

/// Far more than the host logs in a second.
const PRINTED_LINES: usize = 1000;

mapper!(map, configure = configure);

fn word() -> String {
    // Through a volatile read, or the compiler would know it.
    let word = unsafe { std::ptr::read_volatile(&raw const WORD) };
    let word = std::str::from_utf8(&word[13..]).unwrap_or_default();
    word.trim_end_matches('.').to_owned()
}

fn configure(_: &Settings) -> Result<String, String> {
    let word = word();
    match word.as_str() {
        "unconfigured" => Err("this version takes no settings at all".to_owned()),
        "unconfigurable" => panic!("no settings, no guest"),
        "endless" => loop {
            std::hint::black_box(());
        },
        _ => Ok(word),
    }
}

fn map(word: &mut String, record: &Record) -> Result<Vec<Output>, String> {
    let outputs = |count| vec![Output::new(format!("{word} {} {}", record.partition, record.offset)); count];
    match word.as_str() {
        "rejects" => Err("not today".to_owned()),
        "rejects-some" if record.offset % 2 == 0 => Err("not this one".to_owned()),
        "traps" => panic!("at offset {}", record.offset),
        "spins" => loop {
            std::hint::black_box(());
        },
        "recurses" => Err(recurse(0).to_string()),
        "hoards" => hoard(),
        "exits" => std::process::exit(3),
        "sleeps" => {
            std::thread::sleep(std::time::Duration::from_secs(60));
            Ok(outputs(1))
        }
        "slow" => {
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(outputs(1))
        }
        "prints" => {
            (0..PRINTED_LINES).for_each(|line| println!("line {line} of one record"));
            Ok(outputs(1))
        }
        // Of an instance, and not of the records.
        "every-third" if count().is_multiple_of(3) => panic!("at offset {}", record.offset),
        "corrupts" => {
            let outputs = outputs(1);
            corrupt();
            Ok(outputs)
        }
        "misroutes" => Ok(vec![Output::new("lost").topic("nowhere")]),
        "too-large" => Ok(vec![Output::new(vec![b'x'; 2 << 20])]),
        "skips" => Ok(outputs(0)),
        "keeps" => Ok(vec![Output::keep()]),
        // Good on what it is tried out on, and bad on what comes later.
        later
            if later.strip_prefix("late-").is_some()
                && record.value.is_some_and(|value| value.starts_with(b"late")) =>
        {
            match later {
                "late-traps" => panic!("at offset {}", record.offset),
                _ => Err("not any more".to_owned()),
            }
        }
        _ => Ok(outputs(1)),
    }
}
