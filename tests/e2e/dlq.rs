//! `mapper-host dlq`: dead letters are grouped, shown, exported and decided about.

mod api;
mod audited;
mod decisions;
mod faults;
mod fidelity;
mod live;
mod reading;
mod redrive;
mod redrive_more;
mod states;
mod versions;

use harness::host::{self, Ended, Host, Job};
use harness::kafka::Kafka;
use harness::reference;
use harness::topics;
use serde_json::Value;

use crate::HOST;

/// Runs `mapper-host dlq` on the topics of a job to its end.
fn dlq(job: &Job<'_>, args: &[&str]) -> Ended {
    let mut command = host::command(HOST);
    command.arg("dlq").args(args).args(["--brokers", job.kafka.brokers(), "--dead-letter-topic", &job.dead_letters]);
    command.env("USER", "ada");
    Host::spawn(&mut command).wait()
}

/// The same, for a command that must succeed. Returns its output.
fn run(job: &Job<'_>, args: &[&str]) -> String {
    let ended = dlq(job, args);
    assert_eq!(ended.code, Some(0), "{args:?}:\n{}", ended.output);
    ended.output
}

/// The output of a command with `--json`.
fn json(job: &Job<'_>, args: &[&str]) -> Value {
    let text = run(job, &[args, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}:\n{text}"))
}

/// A job whose dead-letter topic has the 1 597 letters of the reference data.
fn reference_job(name: &str) -> Job<'static> {
    let job = Job::new(Kafka::shared(), name, HOST, &crate::reduce_visit());
    topics::produce(job.kafka, &job.input, reference::cases().iter().map(reference::Case::record));
    job.run_to_end(&["--workers", "2"]);
    job
}

/// The fingerprint of the group with this message.
fn group_of(groups: &Value, message: &str) -> String {
    let groups = groups["groups"].as_array().expect("groups");
    let found = groups.iter().find(|group| group["message"].as_str().is_some_and(|text| text.contains(message)));
    let found = found.unwrap_or_else(|| panic!("no group {message:?} in {groups:#?}"));
    found["fingerprint"].as_str().expect("a fingerprint").to_owned()
}
