//! The running host follows the states of groups: metrics, alerts and hints.

use std::process::Command;
use std::time::{Duration, Instant};

use harness::host::{self, Host, Job};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use harness::webhook::Webhook;
use mapper_api::alerts::{AlertGroup, AlertPost, AlertState};
use mapper_api::status::Status;

use super::redrive::Redrive;
use super::{group_of, json, run};
use crate::HOST;
use crate::admin::{address, get};

const ADMIN: [&str; 4] = ["--admin", "127.0.0.1:0", "--workers", "1"];
const SOON: Duration = Duration::from_secs(90);

/// A running host and the address of its admin server.
struct Watched {
    host: Host,
    admin: String,
}

impl Watched {
    fn start(job: &Job<'_>, args: &[&str]) -> Self {
        let mut host = job.start(&[&ADMIN[..], args].concat());
        let admin = address(&mut host);
        Self { host, admin }
    }

    /// The value of a metric of the pipeline; `None` without a sample. `name` has further labels in braces.
    fn metric(&self, name: &str) -> Option<f64> {
        let line = match name.split_once('{') {
            Some((name, labels)) => format!("mapper_host_{name}{{pipeline=\"default\",{labels} "),
            None => format!("mapper_host_{name}{{pipeline=\"default\"}} "),
        };
        let metrics = get(&self.admin, "/metrics").1;
        metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok())
    }

    /// Polls until all metrics have these values: there is no event to wait for.
    fn wait_for(&self, expected: &[(&str, f64)]) {
        let deadline = Instant::now() + SOON;
        loop {
            let found: Vec<_> = expected.iter().map(|(name, _)| self.metric(name)).collect();
            if found.iter().zip(expected).all(|(found, (_, expected))| *found == Some(*expected)) {
                return;
            }
            assert!(Instant::now() < deadline, "{expected:?} is still {found:?}:\n{}", self.host.output());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Polls until exactly one group has open letters, in this state.
    fn wait_for_state(&self, state: &str) {
        let names = ["regressed", "new", "ongoing", "acknowledged", "muted", "resolved"];
        let name = |name: &str| format!("dead_letter_groups{{state=\"{name}\"}}");
        let expected = names.map(|of| (name(of), f64::from(u8::from(of == state))));
        self.wait_for(&expected.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>());
    }
}

#[test]
fn metrics_follow_decisions_redrives_and_new_letters() {
    let test = Redrive::new("states-metrics", 40);
    let plugin = test.plugin("rejects-some");
    let letters = topics::read_all(test.job.kafka, &test.job.dead_letters).len() as f64;
    let host = Watched::start(&test.job, &["--plugin", &plugin]);
    // No decision was made yet, so there is no state topic.
    host.wait_for_state("new");
    host.wait_for(&[("dead_letters_open", letters), ("dead_letter_watch_up", 1.0)]);
    assert!(host.metric("dead_letter_oldest_open_age_seconds") > Some(0.0));
    let group = group_of(&json(&test.job, &["groups"]), "not this one");
    run(&test.job, &["ack", &group, "--reason", "ticket 42"]);
    host.wait_for_state("acknowledged");
    run(&test.job, &["mute", &group, "--reason", "known"]);
    host.wait_for_state("muted");
    run(&test.job, &["resolve", &group, "--reason", "fixed"]);
    host.wait_for_state("resolved");
    topics::produce(test.job.kafka, &test.job.input, (0..10).map(|number| NewRecord::value(format!("more {number}"))));
    host.wait_for_state("regressed");
    // The records fail in another way, so the letters of the first group are replaced.
    host.wait_for(&[("records_in_total", 10.0)]);
    let open = topics::read_all(test.job.kafka, &test.job.dead_letters).len() as f64;
    assert!(open > letters);
    test.redrive("rejects", &[]);
    host.wait_for_state("new");
    host.wait_for(&[
        ("dead_letters_open", open),
        ("dead_letters_failed_again_total", open),
        ("dead_letters_redriven_total", 0.0),
    ]);
    let redriven = test.redrive("plain", &[]);
    assert_eq!(redriven.code, Some(0), "{}", redriven.output);
    host.wait_for_state("none");
    host.wait_for(&[
        ("dead_letters_open", 0.0),
        ("dead_letters_redriven_total", open),
        ("dead_letter_oldest_open_age_seconds", 0.0),
    ]);
    assert_eq!(host.host.stop().code, Some(0));

    // Another host sees the same, and counts only what comes after its start.
    let host = Watched::start(&test.job, &["--plugin", &plugin]);
    host.wait_for(&[("dead_letters_open", 0.0), ("dead_letters_redriven_total", 0.0)]);
    assert_eq!(host.host.stop().code, Some(0));
}

#[test]
fn failure_to_read_the_states_is_visible_and_stops_no_record() {
    let test = Redrive::new("states-failure", 20);
    let states = format!("{}.state", test.job.dead_letters);
    topics::create(test.job.kafka, &states, 1, &[("cleanup.policy", "compact")]);
    // A later version of the program has written a record that this one does not understand.
    topics::produce(test.job.kafka, &states, [NewRecord::value(r#"{"v": 99}"#).key("group 00")]);
    let mut host = Watched::start(&test.job, &["--plugin", &test.plugin("rejects-some")]);
    host.host.wait_for("failed to follow the dead letters");
    assert!(host.host.output().contains("Use a newer mapper-host"), "{}", host.host.output());
    host.wait_for(&[("dead_letter_watch_up", 0.0)]);
    assert_eq!(host.metric("dead_letters_open"), None);
    topics::produce(test.job.kafka, &test.job.input, [NewRecord::value("more"), NewRecord::value("more")]);
    host.wait_for(&[("records_in_total", 2.0)]);
    topics::delete(test.job.kafka, &states);
    host.wait_for(&[("dead_letter_watch_up", 1.0)]);
    assert!(host.metric("dead_letters_open") > Some(0.0));
    assert_eq!(host.host.stop().code, Some(0));
}

fn put(job: &Job<'_>, values: &[&str]) {
    topics::produce(job.kafka, &job.input, values.iter().map(|value| NewRecord::value(*value).partition(0)));
}

/// The only group of the next post.
fn post(webhook: &Webhook) -> AlertGroup {
    let body = webhook.next().body;
    let mut post: AlertPost = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
    assert_eq!(post.groups.len(), 1, "{body}");
    post.groups.remove(0)
}

#[test]
fn regression_is_posted_once_and_a_known_group_is_not_posted_after_a_restart() {
    let plugin = harness::plugins::build(HOST, "tests/guests/commands_batch");
    let job = Job::new(Kafka::shared(), "states-alerts", HOST, &plugin);
    let webhook = Webhook::start(&[]);
    let url = format!("http://{}/", webhook.address);
    let args = ["--alert-webhook", url.as_str()];
    let next = || {
        let group = post(&webhook);
        (group.state, group.example.message)
    };
    let new = |message: &str| (AlertState::New, message.to_owned());
    let host = Watched::start(&job, &args);
    put(&job, &["reject no good"]);
    assert_eq!(next(), new("no good"));
    let group = |message: &str| group_of(&json(&job, &["groups", "--state", "all"]), message);
    let no_good = group("no good");
    run(&job, &["resolve", &no_good, "--reason", "fixed"]);
    put(&job, &["value x", "reject no good", "reject no good"]);
    let regressed = post(&webhook);
    assert_eq!(
        (regressed.state, &*regressed.fingerprint, &*regressed.kind),
        (AlertState::Regressed, &*no_good, "rejected")
    );
    let example = &regressed.example;
    assert_eq!((&*example.topic, example.partition, example.offset), (&*job.input, 0, 2));
    assert_eq!((&*example.message, &regressed.dead_letter_topic), ("no good", &job.dead_letters));
    // It regressed already, so the next post is that of another group.
    put(&job, &["reject no good", "reject another"]);
    assert_eq!(next(), new("another"));
    // It is resolved and fails again once more.
    run(&job, &["resolve", &no_good, "--reason", "fixed again"]);
    put(&job, &["reject no good"]);
    assert_eq!(next(), (AlertState::Regressed, "no good".to_owned()));
    run(&job, &["ack", &group("another"), "--reason", "ticket 42"]);
    put(&job, &["reject muted"]);
    assert_eq!(next(), new("muted"));
    run(&job, &["mute", &group("muted"), "--reason", "known"]);
    assert_eq!(host.host.stop().code, Some(0));

    // All of these groups are new to this process, and known to somebody.
    let mut host = Watched::start(&job, &args);
    put(&job, &["reject no good", "reject another", "reject muted"]);
    host.host.wait_for_times("posted no alert of a group of failures: its state is known", 3);
    put(&job, &["reject unknown"]);
    assert_eq!(next(), new("unknown"));
    assert_eq!(host.host.stop().code, Some(0));
    assert!(!webhook.has_more());
}

#[test]
fn swap_to_a_version_that_maps_open_letters_names_the_command_that_redrives_them() {
    let test = Redrive::new("states-hint", 40);
    let letters = test.open_letters();
    let mut host = Watched::start(&test.job, &["--plugin", &test.plugin("rejects-some")]);
    host.wait_for_state("new");
    let admin = host.admin.clone();
    let redrivable = || {
        let status: Status = serde_json::from_str(&get(&admin, "/status").1).expect("the status");
        let letters = status.dead_letters.expect("they are followed");
        (letters.redrivable, letters.open)
    };
    // This version has failed on all of them.
    assert_eq!(redrivable(), (vec![], Some(letters)));
    let swapped = Host::spawn(host::command(HOST).args(["swap", &test.plugin("plain"), "--admin", &admin])).wait();
    assert_eq!(swapped.code, Some(0), "{}", swapped.output);
    host.host.wait_for("the active version maps dead letters of a group");
    let deadline = Instant::now() + SOON;
    let hint = loop {
        if let Some(hint) = redrivable().0.pop() {
            break hint;
        }
        assert!(Instant::now() < deadline, "{}", host.host.output());
        std::thread::sleep(Duration::from_millis(50));
    };
    let group = group_of(&json(&test.job, &["groups"]), "not this one");
    assert_eq!((&hint.fingerprint, hint.tried, hint.passed), (&group, 5, 5));
    assert!(hint.command.starts_with(&format!("mapper-host dlq redrive --group {group} --plugin ")), "{hint:?}");
    assert!(host.host.output().contains(&hint.command), "{}", host.host.output());

    // The command does what it says, and nothing is left to redrive.
    let command = hint.command.replacen("mapper-host", HOST, 1);
    let redriven = Host::spawn(Command::new("sh").args(["-c", &command])).wait();
    assert_eq!(redriven.code, Some(0), "{}", redriven.output);
    host.wait_for(&[("dead_letters_open", 0.0), ("dead_letters_redriven_total", letters as f64)]);
    let deadline = Instant::now() + SOON;
    while redrivable() != (vec![], Some(0)) {
        assert!(Instant::now() < deadline, "{:?}", redrivable());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(host.host.stop().code, Some(0));
}
