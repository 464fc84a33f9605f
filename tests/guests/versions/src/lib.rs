//! A guest that says in each output which version of it made it. What it does is a word in its own file, so that tests make as
//! many versions of it as they like by writing another word there, without building anything.

use mapper_sdk::{Output, Record, Settings, mapper};

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
        "hoards" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1; 1 << 20]));
            }
        }
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

/// Calls since the beginning of the instance.
fn count() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Relaxed) + 1
}

/// Writes over all of its own memory, from the start of its data, and returns as if nothing had happened.
fn corrupt() {
    for address in (1024..256 << 10).step_by(4) {
        // SAFETY: none; that it harms nobody else is what is tested.
        unsafe { std::hint::black_box(address as *mut u32).write_volatile(0xdead_beef) };
    }
}

/// A stack overflow, which no compiler sees coming.
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX {
        return depth;
    }
    std::hint::black_box(recurse(depth + 1)) + 1
}
