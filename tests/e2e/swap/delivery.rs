//! Swaps lose, duplicate and reorder nothing, and the history names the version of each output.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use harness::kafka::Kafka;
use harness::topics;
use mapper_api::versions::SwapOutcome;

use super::*;

const SWAPS: usize = 100;
/// The number of swaps before the host is killed, during the next one.
const KILL_EVERY: usize = 12;
const WORDS: [&str; 2] = ["one", "two"];

/// For each input record, the words of the versions that produced its outputs, in the order of the output topic.
fn outputs(job: &Job<'_>, in_order: bool) -> BTreeMap<(i32, i64), Vec<String>> {
    let mut made: BTreeMap<(i32, i64), Vec<String>> = BTreeMap::new();
    let mut last: BTreeMap<(i32, i32), i64> = BTreeMap::new();
    for record in topics::read_all(job.kafka, &job.output) {
        let text = String::from_utf8(record.value.expect("a value")).expect("text");
        let parts: Vec<&str> = text.split(' ').collect();
        let [word, partition, offset] = parts[..] else { panic!("{text}") };
        let (partition, offset) = (partition.parse().expect("a partition"), offset.parse().expect("an offset"));
        let before = last.insert((record.partition, partition), offset);
        assert!(!in_order || before.is_none_or(|before| before < offset), "{offset} after {before:?}");
        made.entry((partition, offset)).or_default().push(word.to_owned());
    }
    made
}

/// Swaps under load, with or without kills. At least once, only a kill causes duplicates, if a worker keeps
/// its partitions.
fn swaps(count: usize, delivery: &str, kills: bool) {
    let comes_once = delivery == "exactly-once" || !kills;
    let workers = if kills { "2" } else { "1" };
    let file = File::new(WORDS[0]);
    let job = job(&format!("swaps-{delivery}"), Kafka::shared(), &file.path());
    let args: Vec<&str> = ARGS
        .into_iter()
        .chain(KILLED_ARGS.into_iter().filter(|_| kills))
        .chain(["--delivery", delivery, "--commit-interval", "20ms", "--commit-records", "300", "--watch", "off"])
        .chain(["--workers", workers])
        .collect();
    let versions = WORDS.map(version);
    let (host, sent) = while_records_flow(&job, (500, Duration::ZERO), || {
        let mut host = job.start(&args);
        let mut swapper = client(&mut host);
        wait_for("the first outputs", || produced(&job) > 0);
        for swap in 1..=count {
            let bytes = versions[swap % 2].clone();
            if !kills || swap % KILL_EVERY != 0 {
                let report =
                    swapper.swap(bytes, false, false).unwrap_or_else(|error| panic!("{error}: {}", host.output()));
                assert_eq!(report.outcome, SwapOutcome::Swapped, "{report:?}");
                assert_eq!(report.to.expect("a version").digest, digest(&versions[swap % 2]));
                continue;
            }
            // The kill is later in each swap.
            let asked = thread::spawn(move || swapper.swap(bytes, false, false).is_ok());
            thread::sleep(Duration::from_millis((swap / KILL_EVERY * 7) as u64));
            host.kill();
            asked.join().expect("no panic");
            fs::write(file.path(), &versions[swap % 2]).expect("a file");
            host = job.start(&args);
            swapper = client(&mut host);
            let before = produced(&job);
            wait_for("outputs after a kill", || produced(&job) > before);
        }
        host
    });
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    job.run_to_end(&args);
    let (made, history) = (outputs(&job, comes_once), history(&job));
    assert_eq!(made.len(), sent, "each input came out");
    let digests: BTreeMap<String, &str> =
        WORDS.iter().zip(&versions).map(|(word, bytes)| (digest(bytes), *word)).collect();
    let mut active_versions: BTreeMap<&str, usize> = BTreeMap::new();
    for ((partition, offset), words) in &made {
        let term =
            history.term_at(*partition, *offset).unwrap_or_else(|| panic!("nobody spoke at {partition}:{offset}"));
        let word = digests[&term.version.digest];
        *active_versions.entry(word).or_default() += 1;
        assert!(!comes_once || words.len() == 1, "{partition}:{offset} came out as {words:?}");
        // At least once, the version before may have produced the outputs of a killed host.
        assert!(
            words.iter().any(|made| made == word),
            "{word} spoke at {partition}:{offset}, but it was made by {words:?}"
        );
    }
    assert_eq!(active_versions.len(), 2, "both have spoken: {active_versions:?}");
    assert!(history.terms().count() >= count - count / KILL_EVERY);
}

#[test]
fn hundred_swaps_and_eight_kills_exactly_once() {
    swaps(SWAPS, "exactly-once", true);
}

#[test]
fn hundred_swaps_and_eight_kills_at_least_once() {
    swaps(SWAPS, "at-least-once", true);
}

#[test]
fn swaps_without_a_kill_duplicate_nothing_at_least_once() {
    swaps(25, "at-least-once", false);
}

/// Another host, with its own plugin and history, takes partitions and releases them during swaps.
#[test]
fn swaps_while_another_host_joins_and_leaves() {
    const JOINS: usize = 3;
    const LEAST_SWAPS: usize = 5;
    let (file, other) = (File::new(WORDS[0]), File::new("other"));
    let job = job("rebalanced", Kafka::shared(), &file.path());
    // One worker for each host: with two, each host would keep its partitions.
    let args: Vec<&str> = ARGS
        .into_iter()
        .chain(["--commit-interval", "20ms", "--commit-records", "300", "--watch", "off", "--workers", "1"])
        .collect();
    let (plugin, state) = (other.path().display().to_string(), other.at("state").display().to_string());
    let of_other: Vec<&str> =
        args.iter().copied().chain(["--plugin", plugin.as_str(), "--state-dir", state.as_str()]).collect();
    let versions = WORDS.map(version);
    let (host, sent) = while_records_flow(&job, (100, Duration::from_millis(10)), || {
        let mut host = job.start(&args);
        let swapper = client(&mut host);
        wait_for("the first outputs", || produced(&job) > 0);
        let (joined, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                while !joined.load(Ordering::Relaxed) {
                    let swap = swaps.fetch_add(1, Ordering::Relaxed) + 1;
                    let answer = swapper.swap(versions[swap % 2].clone(), false, false);
                    let report = answer.unwrap_or_else(|error| panic!("{error}: {}", host.output()));
                    assert_eq!(report.outcome, SwapOutcome::Swapped, "{report:?}");
                }
            });
            let end = End(&joined);
            let mut joins = 0;
            // The first swap of a version is slow, because it is compiled.
            while joins < JOINS || swaps.load(Ordering::Relaxed) < LEAST_SWAPS && !swapping.is_finished() {
                joins += 1;
                let mut guest = job.start(&of_other);
                let address = crate::admin::address(&mut guest);
                wait_for("its records", || {
                    crate::admin::status(&address)["counts"]["records_out"].as_u64() > Some(500)
                });
                let ended = guest.stop();
                assert_eq!(ended.code, Some(0), "{}", ended.output);
            }
            drop(end);
            swapping.join().expect("every swap went well");
        });
        host
    });
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    job.run_to_end(&args);
    let (made, history) = (outputs(&job, true), history(&job));
    assert_eq!(made.len(), sent, "each input came out");
    let mut by: BTreeMap<&str, usize> = BTreeMap::new();
    for ((partition, offset), words) in &made {
        let [word] = &words[..] else { panic!("{partition}:{offset} came out as {words:?}") };
        *by.entry(word).or_default() += 1;
        if word != "other" {
            let active = history.term_at(*partition, *offset).map(|term| term.version.digest.clone());
            assert_eq!(active, Some(digest(&version(word))), "{partition}:{offset} was made by {word}");
        }
    }
    assert_eq!(by.len(), 3, "all three have spoken: {by:?}");
}
