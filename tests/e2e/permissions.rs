//! Each needed permission is missing once, with Kafka's own authorizer: the host stops and names the permission.

use harness::host::{Host, Job};
use harness::secure::{Operation, Resource, Secure};
use harness::topics::{self, NewRecord};

use crate::secure::{logged_in, secure};
use crate::{HOST, admin, reduce_visit};

const DESCRIBE: Operation = Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE;
const READ: Operation = Operation::RD_KAFKA_ACL_OPERATION_READ;
const WRITE: Operation = Operation::RD_KAFKA_ACL_OPERATION_WRITE;

/// The operations that a user has on each resource.
#[derive(Clone, Copy)]
struct Granted {
    input: &'static [Operation],
    output: &'static [Operation],
    dead_letters: &'static [Operation],
    group: &'static [Operation],
    transactional_id: &'static [Operation],
}

/// Exactly the needed permissions. READ and WRITE imply DESCRIBE.
const ALL: Granted =
    Granted { input: &[READ], output: &[WRITE], dead_letters: &[WRITE], group: &[READ], transactional_id: &[WRITE] };

fn job(secure: &'static Secure, user: &str) -> Job<'static> {
    let job = Job::new(secure.kafka(), user, HOST, &reduce_visit());
    topics::produce(secure.kafka(), &job.input, (0..20).map(visit));
    job
}

fn visit(number: usize) -> NewRecord {
    let time = if number.is_multiple_of(2) { "\"2023-11-01T00:00:00+00:00\"" } else { "null" };
    NewRecord::value(format!(r#"{{"visit_id": "{number}", "event_time": {time}, "page": null}}"#))
}

fn grant(secure: &Secure, user: &str, job: &Job<'_>, granted: Granted) {
    secure.allow(user, Resource::Topic(&job.input), granted.input);
    secure.allow(user, Resource::Topic(&job.output), granted.output);
    secure.allow(user, Resource::Topic(&job.dead_letters), granted.dead_letters);
    secure.allow(user, Resource::Group(&job.group), granted.group);
    secure.allow(user, Resource::TransactionalIds(user), granted.transactional_id);
}

fn start(secure: &Secure, job: &Job<'_>, user: &str, more: &[&str]) -> Host {
    let login = logged_in(user);
    let args = ["--brokers", &secure.sasl, "--transactional-id", user, "--connect-timeout", "5m"];
    let args: Vec<&str> =
        args.into_iter().chain(login.iter().map(String::as_str)).chain(more.iter().copied()).collect();
    job.start(&args)
}

#[test]
fn missing_permission_stops_the_start_and_is_named() {
    let secure = secure();
    let rows: [(&str, Granted, &str); 7] = [
        ("no-describe", Granted { input: &[], ..ALL }, "missing permission: DESCRIBE on the topic '{input}'"),
        ("no-read", Granted { input: &[DESCRIBE], ..ALL }, "missing permission: READ on the topic '{input}'"),
        ("no-group", Granted { group: &[], ..ALL }, "missing permission: READ on the consumer group '{group}'"),
        ("no-output", Granted { output: &[DESCRIBE], ..ALL }, "missing permission: WRITE on the topic '{output}'"),
        (
            "no-letters",
            Granted { dead_letters: &[DESCRIBE], ..ALL },
            "missing permission: WRITE on the topic '{dead_letters}'",
        ),
        (
            "no-id",
            Granted { transactional_id: &[], ..ALL },
            "missing permission: DESCRIBE and WRITE on the transactional id 'no-id-",
        ),
        (
            "no-id-write",
            Granted { transactional_id: &[DESCRIBE], ..ALL },
            "missing permission: DESCRIBE and WRITE on the transactional id 'no-id-write-",
        ),
    ];
    let started: Vec<_> = rows
        .map(|(user, granted, named)| {
            let job = job(secure, user);
            grant(secure, user, &job, granted);
            let named = named.replace("{input}", &job.input).replace("{output}", &job.output);
            let named = named.replace("{dead_letters}", &job.dead_letters).replace("{group}", &job.group);
            (user, start(secure, &job, user, &[]), job, named)
        })
        .into_iter()
        .collect();
    for (user, host, job, named) in started {
        let ended = host.wait();
        assert_eq!(ended.code, Some(4), "{user}: {}", ended.output);
        let error = ended.output.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(error.contains(&named), "{user}: '{named}' is not in:\n{}", ended.output);
        let done =
            topics::read_all(job.kafka, &job.output).len() + topics::read_all(job.kafka, &job.dead_letters).len();
        assert_eq!(done, 0, "{user}");
    }
}

#[test]
fn topic_that_may_not_be_created_is_named() {
    let (secure, user) = (secure(), "no-create");
    let job = job(secure, user);
    grant(secure, user, &job, ALL);
    let missing = topics::unique("not-created");
    secure.allow(user, Resource::Topic(&missing), &[DESCRIBE, WRITE]);
    let ended = start(secure, &job, user, &["--output-topic", &missing, "--create-topics", "1"]).wait();
    assert_eq!(ended.code, Some(4), "{}", ended.output);
    assert!(ended.output.contains(&format!("missing permission: CREATE on the topic '{missing}'")), "{}", ended.output);
}

/// No permission on the topic configuration or the cluster is needed.
#[test]
fn named_permissions_are_sufficient() {
    let (secure, user) = (secure(), "all");
    // At least once, a worker that joins later causes duplicates.
    for (delivery, workers) in [("exactly-once", "2"), ("at-least-once", "1")] {
        let job = job(secure, user);
        grant(secure, user, &job, ALL);
        let ended = start(secure, &job, user, &["--until-end", "--delivery", delivery, "--workers", workers]).wait();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        assert_eq!(topics::read_all(job.kafka, &job.output).len(), 10);
        assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), 10);
    }
    let user = "no-id-needed";
    let job = self::job(secure, user);
    grant(secure, user, &job, Granted { transactional_id: &[], ..ALL });
    let ended = start(secure, &job, user, &["--until-end", "--delivery", "at-least-once"]).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
}

#[test]
fn revoked_permission_stops_the_host_and_is_named() {
    let secure = secure();
    let rows = ["lost-output", "lost-input", "lost-group", "lost-id"].map(|user| {
        let job = job(secure, user);
        grant(secure, user, &job, ALL);
        let host = start(secure, &job, user, &["--admin", "127.0.0.1:0", "--session-timeout", "3s"]);
        (user, job, host)
    });
    for (user, job, mut host) in rows {
        let address = admin::address(&mut host);
        topics::read_until(job.kafka, &job.output, 10, std::time::Duration::from_secs(60));
        admin::wait_until_ready(&address);
        let (resource, operation, named) = match user {
            "lost-output" => (
                Resource::Topic(&job.output),
                WRITE,
                format!("missing permission: WRITE on the topic '{}'", job.output),
            ),
            "lost-input" => (Resource::Topic(&job.input), READ, format!("READ on the topic '{}'", job.input)),
            "lost-group" => (
                Resource::Group(&job.group),
                READ,
                format!("missing permission: READ on the consumer group '{}'", job.group),
            ),
            _ => {
                let named = "missing permission: DESCRIBE and WRITE on the transactional id 'lost-id-".to_owned();
                (Resource::TransactionalIds(user), WRITE, named)
            }
        };
        secure.deny(user, resource, operation);
        topics::produce(job.kafka, &job.input, (20..40).map(visit));
        let ended = host.wait();
        assert_eq!(ended.code, Some(4), "{user}: {}", ended.output);
        assert!(ended.output.contains(&named), "{user}: '{named}' is not in:\n{}", ended.output);
    }
}
