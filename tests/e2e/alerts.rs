//! Posts of new groups of failures to the alert webhook.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::host::{Host, Job};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use harness::webhook::{Reply, Webhook};
use mapper_api::alerts::{AlertPost, AlertState};

use crate::HOST;
use crate::admin::{address, get};

const ADMIN: [&str; 4] = ["--admin", "127.0.0.1:0", "--workers", "1"];
/// More than the queue and a post have, so that some must be dropped if the receiver blocks.
const MANY_GROUPS: usize = 500;

fn job<'k>(name: &str) -> Job<'k> {
    Job::new(Kafka::shared(), name, HOST, &harness::plugins::build(HOST, "tests/guests/commands_batch"))
}

fn put(job: &Job<'_>, values: &[String]) {
    topics::produce(job.kafka, &job.input, values.iter().map(|value| NewRecord::value(value.as_str()).partition(0)));
}

fn post(webhook: &Webhook) -> AlertPost {
    let body = webhook.next().body;
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{body}: {error}"))
}

/// The message of a group: fingerprints ignore digits.
fn word(mut number: usize) -> String {
    let mut word = String::new();
    for _ in 0..4 {
        word.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    word
}

/// Polls until a metric of the process has this value or a larger one; it has no event to wait for.
fn wait_for_metric(host: &Host, admin: &str, name: &str, least: f64) {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let metrics = get(admin, "/metrics").1;
        let line =
            metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {metrics}"));
        if line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).is_some_and(|value| value >= least) {
            return;
        }
        assert!(Instant::now() < deadline, "{line} never reached {least}:\n{}", host.output());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn new_group_is_posted_after_errors_of_the_receiver_and_the_host_runs_on_without_one() {
    let job = job("alerts");
    put(&job, &["reject no good".to_owned(), "value x".to_owned(), "reject no good".to_owned()]);
    let webhook = Webhook::start(&[Reply::Status(500), Reply::Status(500)]);
    let url = format!("http://user:s3cret@{}/s3cret?token=s3cret", webhook.address);
    let mut host = job.start(&[&ADMIN[..], &["--alert-webhook", &url, "--log-level", "trace"]].concat());
    let admin = address(&mut host);
    let posts: Vec<AlertPost> = (0..3).map(|_| post(&webhook)).collect();
    let group = &posts[2].groups[0];
    assert_eq!(posts[0].groups, posts[2].groups);
    assert_eq!((group.state, &*group.pipeline, &*group.kind, group.count), (AlertState::New, "default", "rejected", 2));
    assert_eq!((&group.dead_letter_topic, &group.example.topic), (&job.dead_letters, &job.input));
    assert_eq!((&*group.example.message, group.example.partition, group.example.offset), ("no good", 0, 0));
    assert_eq!(group.plugin.as_ref().map(|plugin| plugin.digest.len()), Some(64));
    let letters = topics::read_all(job.kafka, &job.dead_letters);
    assert!(letters.iter().all(|letter| harness::letters::fingerprint(letter) == group.fingerprint), "{letters:?}");
    host.wait_for("posted groups of failures to the alert webhook");

    // The receiver disappears. A known group needs none, and a new one is kept for later.
    drop(webhook);
    put(&job, &["reject no good".to_owned(), "reject another".to_owned()]);
    host.wait_for_times("failed to post to the alert webhook", 4);
    put(&job, &["value y".to_owned()]);
    wait_for_metric(&host, &admin, "mapper_host_records_out_total", 2.0);
    let metrics = get(&admin, "/metrics").1;
    assert!(metrics.contains("mapper_host_alert_posts_total 1\n"), "{metrics}");
    assert!(metrics.contains("mapper_host_failure_groups_total{pipeline=\"default\"} 2\n"), "{metrics}");
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(!ended.output.contains("s3cret") && ended.output.contains("http://127.0.0.1:"), "{}", ended.output);
}

#[test]
fn silent_receiver_delays_no_record_and_groups_beyond_the_queue_are_counted() {
    let job = job("alerts-silent");
    let values: Vec<String> = (0..MANY_GROUPS).map(|number| format!("reject {}", word(number))).collect();
    put(&job, &values[..1]);
    let webhook = Webhook::start(&[Reply::Silence; 20]);
    let url = format!("http://{}/", webhook.address);
    // A transaction has at most 100 groups with a fingerprint.
    let args = [&ADMIN[..], &["--alert-webhook", &url, "--commit-records", "100", "--batch-records", "100"]].concat();
    let mut host = job.start(&args);
    let admin = address(&mut host);
    // The receiver has the post, and does not answer: the thread that sends waits for it.
    assert_eq!(post(&webhook).groups.len(), 1);
    put(&job, &values[1..]);
    wait_for_metric(&host, &admin, "mapper_host_records_in_total", MANY_GROUPS as f64);
    wait_for_metric(&host, &admin, "mapper_host_alerts_dropped_total", 1.0);
    // All that happened during the first post.
    let metrics = get(&admin, "/metrics").1;
    for name in ["posts", "post_failures"] {
        assert!(metrics.contains(&format!("mapper_host_alert_{name}_total 0\n")), "{metrics}");
    }
    let ended = host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let letters = topics::read_all(job.kafka, &job.dead_letters);
    let fingerprints: BTreeSet<&str> = letters.iter().map(harness::letters::fingerprint).collect();
    assert_eq!((letters.len(), fingerprints.len()), (MANY_GROUPS, MANY_GROUPS));
}

#[test]
fn post_is_sent_with_tls_and_only_to_a_receiver_with_a_trusted_certificate() {
    let dir = tempfile::tempdir().expect("a folder");
    let (webhook, certificate) = Webhook::start_tls(dir.path());
    let url = format!("https://localhost:{}/hook", webhook.address.port());
    let job = job("alerts-tls");
    put(&job, &["reject no".to_owned()]);
    // No authority of this machine has signed the certificate.
    let ended = job.run_to_end(&["--alert-webhook", &url]);
    assert!(ended.output.contains("failed to post to the alert webhook"), "{}", ended.output);
    assert!(!webhook.has_more());

    put(&job, &["reject no".to_owned()]);
    let variables = [("SSL_CERT_FILE", certificate.to_str().expect("a path")), ("MAPPER_ALERT_WEBHOOK", &url)];
    let ended = job.start_with(&["--until-end"], &variables).wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(post(&webhook).groups[0].example.message, "no", "{}", ended.output);
}
