//! `mapper-host dlq try` and `redrive`: outputs and resolutions in one transaction.

use std::collections::BTreeMap;
use std::path::PathBuf;

use harness::host::{self, Ended, Host, Job};
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord};
use serde_json::Value;
use tempfile::TempDir;

use super::{json, run};
use crate::HOST;
use crate::swap::version;

/// A job whose version `rejects-some` has failed on the records with even offsets; and files of versions.
pub(super) struct Redrive {
    pub(super) job: Job<'static>,
    pub(super) dir: TempDir,
}

impl Redrive {
    pub(super) fn new(name: &str, records: usize) -> Self {
        Self::with_args(name, records, &[])
    }

    /// `args` are those of the host.
    pub(super) fn with_args(name: &str, records: usize, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let this = Self { job: Job::new(Kafka::shared(), name, HOST, &crate::reduce_visit()), dir };
        let record = |number: usize| {
            let record = NewRecord::value(format!("value {number}")).key(format!("key {}", number % 7));
            record.header("h", "1").null_header("h").timestamp(1_700_000_000_000 + number as i64)
        };
        topics::produce(this.job.kafka, &this.job.input, (0..records).map(record));
        let plugin = this.plugin("rejects-some");
        this.job.run_to_end(&[&["--plugin", &plugin, "--workers", "1"], args].concat());
        this
    }

    /// The file of a version.
    pub(super) fn plugin(&self, word: &str) -> String {
        let path: PathBuf = self.dir.path().join(format!("{word}.wasm"));
        std::fs::write(&path, version(word)).expect("a file");
        path.display().to_string()
    }

    pub(super) fn spawn(&self, args: &[&str]) -> Host {
        let job = &self.job;
        let mut command = host::command(HOST);
        command.arg("dlq").args(args).args([
            "--brokers",
            job.kafka.brokers(),
            "--dead-letter-topic",
            &job.dead_letters,
        ]);
        command.args(["--output-topic", &job.output, "--input-topic", &job.input]);
        Host::spawn(&mut command)
    }

    pub(super) fn redrive(&self, word: &str, args: &[&str]) -> Ended {
        let plugin = self.plugin(word);
        self.spawn(&[&["redrive", "--plugin", &plugin][..], args].concat()).wait()
    }

    /// The outputs by the position of their input; each must be there once.
    pub(super) fn outputs(&self) -> BTreeMap<(i32, i64), String> {
        let mut outputs = BTreeMap::new();
        for record in topics::read_all(self.job.kafka, &self.job.output) {
            let text = String::from_utf8(record.value.expect("a value")).expect("text");
            let (word, position) = text.split_once(' ').expect("WORD PARTITION OFFSET");
            let (partition, offset) = position.split_once(' ').expect("PARTITION OFFSET");
            let position = (partition.parse().expect("a number"), offset.parse().expect("a number"));
            assert_eq!(outputs.insert(position, word.to_owned()), None, "{position:?} is there twice");
        }
        outputs
    }

    pub(super) fn open_letters(&self) -> u64 {
        json(&self.job, &["groups"])["letters"]["open"].as_u64().expect("a number")
    }
}

/// The last line of JSON.
fn last_event(ended: &Ended) -> Value {
    let line = ended.output.lines().rfind(|line| line.starts_with('{')).expect("a line of JSON");
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn redriven_letters_have_the_outputs_of_a_run_that_had_the_version_from_the_start() {
    let test = Redrive::new("redrive-equal", 200);
    let written = topics::read_all(test.job.kafka, &test.job.dead_letters);
    assert!(written.len() > 50 && test.outputs().len() + written.len() == 200);

    let tried = test.spawn(&["try", &test.plugin("plain")]).wait();
    assert_eq!(tried.code, Some(0), "{}", tried.output);
    let pass = format!("{0} of {0} letters pass ({0} outputs, 0 skipped), 0 fail", written.len());
    assert!(tried.output.contains(&pass) && tried.output.contains("  - rejected: not this one"), "{}", tried.output);
    let tried = test.spawn(&["try", &test.plugin("rejects")]).wait();
    let fail =
        format!("0 of {0} letters pass (0 outputs, 0 skipped), {0} fail: 0 as before, {0} differently", written.len());
    assert!(tried.code == Some(10) && tried.output.contains(&fail), "{}", tried.output);
    assert_eq!(test.open_letters(), written.len() as u64, "a try-out changes nothing");

    let redriven = test.redrive("plain", &[]);
    assert_eq!(redriven.code, Some(0), "{}", redriven.output);
    let last = last_event(&redriven);
    assert_eq!((&last["event"], &last["done"]), (&"finished".into(), &written.len().into()), "{last}");
    let outputs = test.outputs();
    assert_eq!(outputs.len(), 200);
    assert!(written.iter().all(|letter| {
        let (_, partition, offset) = letters::source(letter);
        outputs[&(partition, offset)] == "plain"
    }));
    // A record of the output keeps key, headers and timestamp, and has none of the headers of a letter.
    for record in topics::read_all(test.job.kafka, &test.job.output) {
        assert!(record.key.is_some_and(|key| key.starts_with(b"key ")));
        assert_eq!(record.headers, [("h".to_owned(), Some(b"1".to_vec())), ("h".to_owned(), None)]);
        assert!(record.timestamp.is_some_and(|timestamp| timestamp >= 1_700_000_000_000));
    }
    assert_eq!(test.open_letters(), 0);
    assert_eq!(topics::read_all(test.job.kafka, &test.job.dead_letters).len(), written.len());

    let again = test.redrive("plain", &[]);
    assert!(again.code == Some(0) && test.outputs().len() == 200, "{}", again.output);
}

#[test]
fn letter_that_fails_again_is_replaced_until_its_attempts_are_used_up() {
    let test = Redrive::new("redrive-again", 40);
    let first = topics::read_all(test.job.kafka, &test.job.dead_letters).len();
    for attempt in 2..=3 {
        let redriven = test.redrive("rejects", &["--max-attempts", "3"]);
        assert_eq!(redriven.code, Some(10), "{}", redriven.output);
        assert_eq!(test.open_letters(), first as u64, "each is replaced by one");
        let written = topics::read_all(test.job.kafka, &test.job.dead_letters);
        assert_eq!(written.len(), first * attempt);
        let attempt = attempt.to_string();
        let newest = written.iter().filter(|letter| letters::header(letter, "mapper-host.attempt") == Some(&attempt));
        assert_eq!(newest.clone().count(), first);
        let sources: std::collections::BTreeSet<_> = newest.map(letters::source).collect();
        assert!(sources.len() == first && sources.iter().all(|(topic, _, _)| *topic == test.job.input));
    }
    let exhausted = test.redrive("plain", &["--max-attempts", "3"]);
    assert!(
        exhausted.output.contains(&format!("left out {first} letters: their records have failed 3 times")),
        "{}",
        exhausted.output
    );
    assert_eq!(test.outputs().len(), 40 - first);
    test.redrive("plain", &[]);
    assert_eq!((test.outputs().len(), test.open_letters()), (40, 0));
}

#[test]
fn redrive_that_is_killed_at_any_step_continues_exactly_once() {
    let test = Redrive::new("redrive-kill", 300);
    let plugin = test.plugin("plain");
    let args = ["redrive", "--plugin", &plugin, "--commit-records", "7", "--take-over", "--log-level", "step=trace"];
    // Each run is killed when it has logged so many steps, so that kills come before, between and after the calls of a transaction.
    let mut kills = 0;
    for steps in (1..200).step_by(9) {
        let redrive = test.spawn(&args);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while redrive.output().lines().filter(|line| line.contains("TRACE")).count() < steps {
            assert!(std::time::Instant::now() < deadline, "too few steps:\n{}", redrive.output());
            if redrive.output().contains("\"finished\"") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let is_finished = redrive.output().contains("\"finished\"");
        redrive.signal(9);
        redrive.wait();
        kills += 1;
        if is_finished {
            break;
        }
    }
    assert!(kills > 3, "only {kills} kills");
    let last = test.redrive("plain", &["--take-over"]);
    assert_eq!(last.code, Some(0), "{}", last.output);
    assert_eq!((test.outputs().len(), test.open_letters()), (300, 0));
}

#[test]
fn second_redrive_is_refused_with_the_host_of_the_first() {
    let test = Redrive::new("redrive-two", 100);
    let plugin = test.plugin("plain");
    let mut first = test.spawn(&["redrive", "--plugin", &plugin, "--rate", "2/s", "--commit-interval", "20ms"]);
    first.wait_for("\"progress\"");
    let second = test.redrive("plain", &[]);
    assert_eq!(second.code, Some(2), "{}", second.output);
    let process = format!("process {}", first.id());
    assert!(second.output.contains("a redrive of ") && second.output.contains(&process), "{}", second.output);
    // Ctrl-C stops after the transaction, and says what is done.
    first.signal(2);
    let stopped = first.wait();
    assert!(stopped.output.contains("\"event\":\"stopped\""), "{}", stopped.output);
    let done = last_event(&stopped);
    let before = test.outputs().len() as u64;
    let open = test.open_letters();
    assert_eq!(done["done"].as_u64().map(|done| done + open), done["letters"].as_u64(), "{done}");
    assert!(before < 100 && open > 0);
    let third = test.redrive("plain", &[]);
    assert_eq!(third.code, Some(0), "{}", third.output);
    assert_eq!((test.outputs().len(), test.open_letters()), (100, 0));
}

#[test]
fn redrive_that_is_taken_over_ends_and_the_other_takes_only_what_is_left() {
    let test = Redrive::new("redrive-take-over", 500);
    let plugin = test.plugin("plain");
    let mut first = test.spawn(&["redrive", "--plugin", &plugin, "--rate", "10/s", "--commit-interval", "20ms"]);
    first.wait_for("\"progress\"");
    // The first one commits until the second one has its transactional id.
    let second = test.redrive("plain", &["--take-over"]);
    assert_eq!(second.code, Some(0), "{}", second.output);
    let ended = first.wait();
    assert!(ended.code == Some(4) && ended.output.contains("another producer took over"), "{}", ended.output);
    assert_eq!((test.outputs().len(), test.open_letters()), (500, 0));
}

#[test]
fn redrive_takes_only_the_selected_letters_in_batches_and_stops_at_a_new_group() {
    let test = Redrive::new("redrive-select", 100);
    let letters = topics::read_all(test.job.kafka, &test.job.dead_letters);
    let total = letters.len() as u64;
    let group = letters::fingerprint(&letters[0]).to_owned();
    let redriven = test.redrive("plain", &["--group", &group[..8], "--limit", "3"]);
    assert_eq!((redriven.code, test.open_letters()), (Some(0), total - 3), "{}", redriven.output);
    let key = letters[0].key.clone().expect("a key");
    let of_key = letters.iter().filter(|letter| letter.key.as_deref() == Some(&key)).count() as u64;
    let key = String::from_utf8(key).expect("text");
    let left = test.open_letters();
    test.redrive("plain", &["--key", &key]);
    let taken = left - test.open_letters();
    assert!(taken > 0 && taken <= of_key, "{taken} of {of_key}");
    // With --yes, the next batch begins only if no group is new.
    let left = test.open_letters();
    let redriven = test.redrive("rejects", &["--batches", "5,all", "--yes"]);
    assert!(redriven.code == Some(10) && redriven.output.contains("\"done\":5"), "{}", redriven.output);
    assert_eq!(test.open_letters(), left, "five are replaced by new letters");
    let redriven = test.redrive("plain", &["--batches", "5,10,all", "--yes"]);
    assert_eq!((redriven.code, test.open_letters()), (Some(0), 0), "{}", redriven.output);
    assert_eq!(test.outputs().len(), 100);
    assert!(run(&test.job, &["groups"]).contains("0 open letters in 0 groups"));
}

#[test]
fn records_that_return_to_their_input_topic_are_counted() {
    let test = Redrive::new("redrive-return", 30);
    let letters = topics::read_all(test.job.kafka, &test.job.dead_letters).len();
    let returned = test.spawn(&["redrive", "--to-input"]).wait();
    assert_eq!(returned.code, Some(0), "{}", returned.output);
    assert_eq!((test.open_letters(), test.outputs().len()), (0, 30 - letters));
    let input = topics::read_all(test.job.kafka, &test.job.input);
    assert_eq!(input.len(), 30 + letters);
    let is_returned = |record: &&topics::Record| letters::header(record, "mapper-host.attempt") == Some("1");
    assert_eq!(input.iter().filter(is_returned).count(), letters);
    // The host maps them again. A record that fails again is the second attempt.
    test.job.run_to_end(&["--plugin", &test.plugin("rejects"), "--workers", "1"]);
    let written = topics::read_all(test.job.kafka, &test.job.dead_letters);
    let second = written.iter().filter(|letter| letters::header(letter, "mapper-host.attempt") == Some("2")).count();
    assert_eq!(second, letters);
}

#[test]
fn cut_letter_is_read_again_from_its_topic() {
    let dir = tempfile::tempdir().expect("a folder");
    let job = Job::new(Kafka::shared(), "redrive-cut", HOST, &crate::reduce_visit());
    topics::alter(job.kafka, &job.dead_letters, &[("max.message.bytes", "3000")]);
    let long = "x".repeat(20_000);
    let values = [format!("good {long}"), "short".to_owned(), format!("other {long}"), "last".to_owned()];
    topics::produce(job.kafka, &job.input, values.map(|value| NewRecord::value(value).key("k").partition(0)));
    let test = Redrive { job, dir };
    test.job.run_to_end(&["--plugin", &test.plugin("rejects-some"), "--workers", "1"]);
    let letters = topics::read_all(test.job.kafka, &test.job.dead_letters);
    assert!(letters.len() == 2 && letters.iter().all(|letter| letters::header(letter, "mapper-host.cut").is_some()));
    let redriven = test.redrive("plain", &[]);
    assert_eq!((redriven.code, test.outputs().len()), (Some(0), 4), "{}", redriven.output);
}
