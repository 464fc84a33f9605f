//! The version that maps letters, and letters of versions that failed their probation: both from the history of the host.

use std::time::Duration;

use harness::host::{Ended, Host, Job};
use harness::kafka::Kafka;
use harness::topics;
use mapper_api::versions::SwapOutcome;
use mapper_versions::Trigger;
use tempfile::TempDir;

use super::redrive::Redrive;
use super::run;
use crate::HOST;
use crate::swap::{client, digest, produce, status, version, wait_for};

const SOON: Duration = Duration::from_secs(60);

/// The settings with which a command finds the history of a job.
fn history(job: &Job<'_>) -> [String; 4] {
    let dir = job.dir().join("state").display().to_string();
    ["--state-dir".to_owned(), dir, "--consumer-group".to_owned(), job.group.clone()]
}

fn command(test: &Redrive, args: &[&str]) -> Ended {
    let history = history(&test.job);
    test.spawn(&[args, &history.each_ref().map(String::as_str)].concat()).wait()
}

#[track_caller]
fn assert_refused(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    for part in parts {
        assert!(ended.output.contains(part), "{part:?} is not in {}", ended.output);
    }
}

#[test]
fn version_of_the_history_maps_the_letters_and_the_active_one_is_the_default() {
    let test = Redrive::new("redrive-version", 60);
    let letters = topics::read_all(test.job.kafka, &test.job.dead_letters).len();
    let [first, second] = ["rejects-some", "plain"].map(|word| digest(&version(word)));
    let used = |digest: &str| format!(", digest {digest}, from the history");

    let tried = command(&test, &["try"]);
    assert!(tried.code == Some(10) && tried.output.contains(&used(&first)), "{}", tried.output);
    assert!(tried.output.contains(&format!("{letters} fail: {letters} as before")), "{}", tried.output);
    test.job.run_to_end(&["--plugin", &test.plugin("plain"), "--workers", "1"]);
    // The plugin file is not needed.
    std::fs::remove_file(test.dir.path().join("plain.wasm")).expect("it was there");
    let tried = command(&test, &["try", "--version", &first[..8]]);
    assert!(tried.code == Some(10) && tried.output.contains(&used(&first)), "{}", tried.output);
    let tried = command(&test, &["redrive", "--dry-run"]);
    assert!(tried.code == Some(0) && tried.output.contains(&used(&second)), "{}", tried.output);
    assert_eq!(test.open_letters(), letters as u64);

    let redriven = command(&test, &["redrive", "--version", &second, "--limit", "5"]);
    assert!(redriven.code == Some(0) && redriven.output.contains(&used(&second)), "{}", redriven.output);
    let redriven = command(&test, &["redrive"]);
    assert!(redriven.code == Some(0) && redriven.output.contains(&used(&second)), "{}", redriven.output);
    assert_eq!((test.outputs().len(), test.open_letters()), (60, 0));
}

#[test]
fn version_that_is_not_on_this_machine_is_an_error_with_the_way_out() {
    let test = Redrive::new("redrive-no-version", 20);
    let digest = digest(&version("rejects-some"));
    let open = test.open_letters();
    assert_refused(
        &command(&test, &["redrive", "--version", "0123abcd"]),
        &["begins with 0123abcd", "--plugin FILE", &digest[..12]],
    );
    for wrong in ["0123abc", "version1", "0.1.0"] {
        assert_refused(
            &command(&test, &["try", "--version", wrong]),
            &["--version", "8 or more digits", "--failed-in"],
        );
    }
    let file = test.plugin("plain");
    assert_refused(&command(&test, &["try", &file, "--version", &digest]), &["names another version"]);
    // Another group, and a machine without a host.
    let empty = TempDir::new().expect("a folder");
    let other = empty.path().display().to_string();
    for args in [&["redrive", "--version", &digest][..], &["redrive"], &["try"], &["try", "--withdrawn"]] {
        let ended = test.spawn(&[args, &["--state-dir", &other, "--consumer-group", &test.job.group]].concat()).wait();
        assert_refused(&ended, &["there is no history of versions of the group", &other]);
        let history = history(&test.job);
        let ended = test.spawn(&[args, &[&*history[0], &*history[1], "--consumer-group", "others"]].concat()).wait();
        assert_refused(&ended, &["there is no history of versions of the group 'others'"]);
    }
    assert_refused(
        &command(&test, &["try", "--withdrawn"]),
        &["no version in the history", "has failed its probation"],
    );
    // The host keeps only the last files.
    let stored = walk(&test.job.dir().join("state")).into_iter().find(|path| path.ends_with(format!("{digest}.wasm")));
    let stored = stored.expect("the stored plugin");
    std::fs::write(&stored, version("plain")).expect("a file");
    assert_refused(&command(&test, &["redrive"]), &["is damaged", "--plugin FILE"]);
    std::fs::remove_file(stored).expect("it was there");
    assert_refused(&command(&test, &["redrive"]), &["is not on this machine any more", "--plugin FILE"]);
    assert_eq!((test.open_letters(), std::fs::read_dir(&other).expect("a folder").count()), (open, 0));
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn letters_of_a_version_that_failed_its_probation_are_selected_and_redriven() {
    let dir = TempDir::new().expect("a folder");
    let plugin = dir.path().join("plugin.wasm");
    std::fs::write(&plugin, version("one")).expect("a file");
    let job = Job::new(Kafka::shared(), "redrive-withdrawn", HOST, &plugin);
    let args = ["--admin", "127.0.0.1:0", "--watch", "off", "--probation", "200", "--probation-tolerance", "0.1"];
    let mut host: Host = job.start(&[&args[..], &["--commit-interval", "10ms", "--workers", "1"]].concat());
    produce(&job, "good", 200);
    topics::read_until(job.kafka, &job.output, 200, SOON);
    let client = client(&mut host);
    // The version passes its probation once: 20 letters are not of a withdrawn version.
    assert_eq!(client.swap(version("late-rejects"), false, false).expect("an answer").outcome, SwapOutcome::Swapped);
    produce(&job, "late", 20);
    produce(&job, "good", 180);
    host.wait_for("has passed its probation");
    topics::read_until(job.kafka, &job.output, 380, SOON);
    topics::read_until(job.kafka, &job.dead_letters, 20, SOON);
    client.rollback().expect("the version before");
    // Then it fails, after some of its letters are committed.
    assert_eq!(client.swap(version("late-rejects"), false, true).expect("an answer").outcome, SwapOutcome::Swapped);
    produce(&job, "late", 10);
    topics::read_until(job.kafka, &job.dead_letters, 30, SOON);
    produce(&job, "late", 60);
    wait_for("the rollback", || status(&mut host).last.is_some_and(|last| last.by == Trigger::Probation));
    let rest = 380 + 70;
    wait_for("the rest", || {
        let letters = topics::read_all(job.kafka, &job.dead_letters).len();
        topics::read_all(job.kafka, &job.output).len() + letters == rest + 20
    });
    let letters = topics::read_all(job.kafka, &job.dead_letters).len();
    let test = Redrive { job, dir };
    let history = history(&test.job);
    let place = history.each_ref().map(String::as_str);
    let list = |filter: &[&str]| run(&test.job, &[&["export"], filter, &place].concat()).lines().count();
    assert_eq!((list(&[]), list(&["--withdrawn"])), (letters, letters - 20));
    assert_eq!(list(&["--failed-in", &digest(&version("late-rejects"))[..8]]), letters);
    assert_eq!(list(&["--withdrawn", "--failed-in", &digest(&version("one"))]), 0);
    // The host runs, and its active version maps them.
    let redriven = command(&test, &["redrive", "--withdrawn"]);
    assert!(redriven.code == Some(0) && redriven.output.contains(&digest(&version("one"))), "{}", redriven.output);
    assert_eq!((list(&[]), list(&["--withdrawn"])), (20, 0));
    assert_eq!(host.stop().code, Some(0));
}
