//! Posts to a local HTTP server that is slow, fails or disappears.

use std::sync::Mutex;

use super::*;
use crate::config::webhook;
use harness::webhook::{Post, Reply, Webhook};
use mapper_core::record::Batch;
use mapper_core::verdict::{Failure, FailureKind};
use mapper_telemetry::{Failures, GroupRegistry, Telemetry};

/// A group of a pipeline.
pub(super) fn group(pipeline: &str, fingerprint: &str) -> AlertGroup {
    AlertGroup {
        state: AlertState::New,
        pipeline: pipeline.to_owned(),
        dead_letter_topic: "letters".to_owned(),
        plugin: None,
        fingerprint: fingerprint.to_owned(),
        kind: "trap".to_owned(),
        count: 1,
        first_seen: String::new(),
        last_seen: String::new(),
        example: AlertExample { topic: "visits".to_owned(), partition: 0, offset: 0, message: String::new() },
    }
}

/// Alerts to this URL, and telemetry whose new groups they post.
fn start(url: &str) -> (Alerts, Telemetry, Arc<PipelineRegistry>) {
    let registry = Arc::new(PipelineRegistry::default());
    let (alerts, queue) = Alerts::start(&webhook::url(url).unwrap(), &registry).unwrap();
    let telemetry = Telemetry::default();
    telemetry.set_known_groups(GroupRegistry::new(Some(queue)).of_pipeline("orders"));
    (alerts, telemetry, registry)
}

/// Commits a dead letter of each group.
fn fail(telemetry: &Telemetry, fingerprints: &[&str]) {
    let mut batch = Batch::new("visits");
    batch.push((3, 7), 0, None, Some(b"private"), std::iter::empty());
    let mut failures = Failures::default();
    for fingerprint in fingerprints {
        failures.note(fingerprint, batch.record(0), &Failure::new(FailureKind::Trap, "unreachable"), Utc::now());
    }
    telemetry.committed_failures(failures);
}

fn post(body: &str) -> AlertPost {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}"))
}

#[test]
fn new_groups_are_in_one_post_without_the_record_and_known_ones_in_none() {
    let webhook = Webhook::start(&[]);
    let (alerts, telemetry, registry) = start(&format!("http://user:s3cret@{}/hook?team=a", webhook.address));
    fail(&telemetry, &["0a", "0b"]);
    fail(&telemetry, &["0a"]);
    let Post { head, body } = webhook.next();
    assert!(head.starts_with("post /hook?team=a http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: basic ") && head.contains("content-type: application/json"), "{head}");
    assert!(!body.contains("private"), "{body}");
    let AlertPost { version, groups, dropped, .. } = post(&body);
    assert_eq!((version, groups.len(), dropped), (1, 2, 0));
    let first = groups.iter().find(|group| group.fingerprint == "0a").expect("the group");
    assert_eq!((first.state, &*first.pipeline, &*first.kind, first.count), (AlertState::New, "orders", "trap", 1));
    let example = AlertExample { topic: "visits".into(), partition: 3, offset: 7, message: "unreachable".into() };
    assert_eq!(first.example, example);
    assert!(body.contains(r#""state":"new""#), "{body}");
    fail(&telemetry, &["0a", "0b"]);
    alerts.finish();
    assert!(!webhook.has_more());
    assert_eq!((registry.alerts.posts(), registry.alerts.failed_posts(), registry.alerts.dropped()), (1, 0, 0));
}

#[test]
fn post_is_repeated_until_the_server_accepts_it() {
    let webhook = Webhook::start(&[Reply::Status(500), Reply::Close, Reply::Status(429)]);
    let (alerts, telemetry, registry) = start(&format!("http://{}/", webhook.address));
    fail(&telemetry, &["0a"]);
    let bodies: Vec<String> = (0..3).map(|_| webhook.next().body).collect();
    // A group that comes meanwhile goes into the next attempt.
    fail(&telemetry, &["0b"]);
    let last = webhook.next().body;
    assert!(bodies.iter().all(|body| post(body).groups.len() == 1), "{bodies:?}");
    assert_eq!(post(&last).groups.len(), 2);
    alerts.finish();
    assert_eq!((registry.alerts.posts(), registry.alerts.failed_posts(), registry.alerts.dropped()), (1, 3, 0));
}

#[test]
fn groups_that_wait_at_the_end_are_posted() {
    let webhook = Webhook::start(&[]);
    let (alerts, telemetry, registry) = start(&format!("http://{}/", webhook.address));
    let fingerprints: Vec<String> = (0..80).map(|number| number.to_string()).collect();
    fail(&telemetry, &fingerprints.iter().map(String::as_str).collect::<Vec<_>>());
    alerts.finish();
    assert_eq!((post(&webhook.next().body).groups.len(), registry.alerts.posts()), (80, 1));
}

#[test]
fn rejected_post_is_not_repeated_and_its_groups_are_dropped() {
    let webhook = Webhook::start(&[Reply::Status(404)]);
    let (alerts, telemetry, registry) = start(&format!("http://{}/", webhook.address));
    fail(&telemetry, &["0a", "0b"]);
    webhook.next();
    fail(&telemetry, &["0c"]);
    let AlertPost { groups, dropped, .. } = post(&webhook.next().body);
    assert_eq!((groups.len(), dropped), (1, 2));
    alerts.finish();
    assert_eq!((registry.alerts.posts(), registry.alerts.failed_posts(), registry.alerts.dropped()), (1, 1, 2));
}

#[test]
fn silent_or_absent_server_blocks_neither_the_workers_nor_the_end() {
    let silent = Webhook::start(&[Reply::Silence]);
    for address in [silent.address, Webhook::absent()] {
        let (alerts, telemetry, registry) = start(&format!("http://{address}/"));
        fail(&telemetry, &["0a"]);
        if address == silent.address {
            silent.next();
        }
        // The thread waits for the server, and none of these calls does.
        for number in 0..2000 {
            fail(&telemetry, &[&number.to_string()]);
        }
        assert_eq!(telemetry.known_groups(), 2001);
        alerts.finish();
        assert_eq!(registry.alerts.posts(), 0);
        if address == silent.address {
            // The end of the process does not wait until the post fails.
            assert_eq!(registry.alerts.failed_posts(), 0);
        }
        assert!(registry.alerts.dropped() > 1000, "{:?}", registry.alerts);
    }
}

/// The log of a thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_log_line_has_a_secret_of_the_url() {
    let refusing = Webhook::start(&[Reply::Status(302), Reply::Status(500)]);
    let (counts, log) = (Arc::<AlertCounts>::default(), Log::default());
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || written.clone());
    tracing::subscriber::with_default(subscriber.finish(), || {
        for address in [Webhook::absent(), refusing.address] {
            let url = webhook::url(&format!("http://user:s3cret@{address}/s3cret?token=s3cret")).unwrap();
            let (shown, counts) = (url.to_string(), counts.clone());
            let mut sender = Sender { url: shown, receiver: Receiver::new(url), counts, is_failing: false };
            let mut pending = Pending::default();
            for fingerprint in ["0a", "0b", "0c"] {
                pending.add(group("p", fingerprint), Instant::now());
                sender.post(&mut pending, POST_TIMEOUT);
            }
        }
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for message in
        ["failed to post to the alert webhook; ", "rejected a post", "posted groups", "status 302", "status 500"]
    {
        assert!(log.contains(message), "{message}: {log}");
    }
    assert!(!log.contains("s3cret") && log.contains("http://127.0.0.1:"), "{log}");
}
