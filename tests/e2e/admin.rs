//! The admin server of a running host: probes, metrics and status.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use harness::host::{self, Host, Job};
use harness::kafka::Kafka;
use harness::letters;
use harness::topics::{self, NewRecord};
use serde_json::Value;

use crate::{HOST, reduce_visit};

const SOON: Duration = Duration::from_secs(60);
const GOOD: &str = r#"{"visit_id": "1", "event_time": "2023-11-01T00:00:00Z", "page": "main"}"#;

/// The address of the admin server of a host.
pub(crate) fn address(host: &mut Host) -> String {
    const SAID: &str = "admin server address=";
    host.wait_for(SAID);
    let output = host.output();
    let (_, rest) = output.split_once(SAID).expect("it was waited for");
    rest.split_whitespace().next().expect("an address").to_owned()
}

/// The status and the body of a response; `None` without a response.
pub(crate) fn ask(address: &str, method: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    ask(address, "GET", path).unwrap_or_else(|| panic!("no answer to {path}"))
}

/// Repeats the request until the response satisfies the condition.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> (bool, T)) -> T
where
    T: std::fmt::Debug,
{
    let deadline = Instant::now() + SOON;
    loop {
        match look() {
            (true, seen) => return seen,
            (false, seen) => assert!(Instant::now() < deadline, "{what}: {seen:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the host has committed this number of input records.
pub(crate) fn wait_until_committed(address: &str, records: u64) {
    until("committed", || {
        let status: Value = serde_json::from_str(&get(address, "/status").1).expect("JSON");
        let committed = status["counts"]["records_in"].as_u64();
        (committed == Some(records), committed)
    });
}

/// Waits until the host is ready; the panic has the reason if it never is.
pub(crate) fn wait_until_ready(address: &str) {
    until("ready", || {
        let answer = get(address, "/readyz");
        (answer == (200, "ready\n".to_owned()), answer)
    });
}

/// A sample, named without the label `pipeline`, of the pipeline that flags describe; those of the process have no such label.
pub(crate) fn of_pipeline(sample: &str) -> String {
    if sample.starts_with("process_") {
        return sample.to_owned();
    }
    let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
    let comma = if labels == "}" { "" } else { "," };
    format!("{name}{{pipeline=\"default\"{comma}{labels}")
}

fn sample(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(&of_pipeline(name))?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().expect("a number")
}

pub(crate) fn status(address: &str) -> Value {
    let (code, body) = get(address, "/status");
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

#[test]
fn metrics_and_status_match_the_produced_records() {
    let job = Job::new(Kafka::shared(), "seen", HOST, &reduce_visit());
    let record = |number| NewRecord::value(if number % 3 == 0 { "{" } else { GOOD }).partition(number % 2);
    // One worker more than partitions: it is a member of the group, too.
    let mut host = job.start(&["--admin", "127.0.0.1:0", "--workers", "3"]);
    let address = address(&mut host);
    let admin = address.as_str();
    // A worker that joins later takes partitions from the others, and their uncommitted records are mapped again.
    wait_until_ready(admin);
    topics::produce(job.kafka, &job.input, (0..300).map(record));
    let metrics = until("all records", || {
        let metrics = get(admin, "/metrics").1;
        (sample(&metrics, "mapper_host_records_in_total") == 300.0, metrics)
    });
    assert_eq!(sample(&metrics, "mapper_host_records_out_total"), 200.0);
    assert_eq!(sample(&metrics, "mapper_host_dead_letters_total{kind=\"rejected\"}"), 100.0);
    assert_eq!(sample(&metrics, "mapper_host_batch_records_sum"), 300.0);
    assert!(sample(&metrics, "mapper_host_transactions_total") >= 1.0);
    assert_eq!(sample(&metrics, "mapper_host_ready"), 1.0);
    assert!(sample(&metrics, "process_resident_memory_bytes") > 1e6);

    let status = until("positions", || {
        let status = status(admin);
        let partitions = status["partitions"].as_array().expect("a list").clone();
        let done = |partition: &Value| partition["lag"] == 0 && partition["committed"] == partition["end"];
        (partitions.len() == 2 && partitions.iter().all(done), status)
    });
    let ends: Vec<i64> = topics::end_offsets(job.kafka, &job.input);
    for (partition, end) in ends.iter().enumerate() {
        assert_eq!(status["partitions"][partition]["partition"], partition);
        assert_eq!(status["partitions"][partition]["position"], *end, "{status}");
        assert_eq!(status["partitions"][partition]["committed"], *end);
        let metrics = get(admin, "/metrics").1;
        let labels = format!("{{topic=\"{}\",partition=\"{partition}\"}}", job.input);
        assert_eq!(sample(&metrics, &format!("mapper_host_partition_lag_records{labels}")), 0.0);
        assert_eq!(sample(&metrics, &format!("mapper_host_partition_end{labels}")), *end as f64);
    }
    assert_eq!(status["counts"]["records_in"], 300);
    assert_eq!(status["counts"]["dead_letters_by_kind"]["rejected"], 100);
    assert_eq!(status["plugin"]["name"], "reduce_visit");
    assert_eq!(status["plugin"]["file"], reduce_visit().display().to_string());
    assert_eq!(status["work"]["delivery"], "exactly-once");
    assert_eq!(status["work"]["group"], job.group);
    assert_eq!(status["workers"].as_array().map(Vec::len), Some(3));
    let failures = status["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["count"], 100);
    let letter = topics::read_all(job.kafka, &job.dead_letters).into_iter().next().expect("a dead letter");
    assert_eq!(failures[0]["fingerprint"], letters::fingerprint(&letter));
    assert_eq!(failures[0]["example"]["input"], "{");
    assert_eq!(failures[0]["example"]["topic"], job.input);

    assert_eq!(get(admin, "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(ask(admin, "GET", "/nothing").map(|answer| answer.0), Some(404));
    assert_eq!(ask(admin, "POST", "/status").map(|answer| answer.0), Some(405));
    assert_eq!(host.stop().code, Some(0));
    assert_eq!(ask(admin, "GET", "/livez"), None);
}

#[test]
fn restart_without_new_records_still_reports_its_lag() {
    let job = Job::new(Kafka::shared(), "lag", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..40).map(|_| NewRecord::value(GOOD).partition(1)));
    job.run_to_end(&[]);
    let mut host = job.start(&["--admin", "127.0.0.1:0"]);
    let address = address(&mut host);
    let status = until("no lag", || {
        let status = status(&address);
        let partitions = status["partitions"].as_array().expect("a list").clone();
        (partitions.len() == 2 && partitions.iter().all(|partition| partition["lag"] == 0), status)
    });
    assert_eq!(status["partitions"][1]["position"], Value::Null);
    assert_eq!(host.stop().code, Some(0));
}

#[test]
fn host_that_waits_for_kafka_is_live_and_not_ready() {
    let plugin = reduce_visit().display().to_string();
    let args = ["--plugin", &plugin, "--brokers", "127.0.0.1:1", "--admin", "127.0.0.1:0", "--connect-timeout", "1h"];
    let mut host = Host::spawn(host::command(HOST).args(args));
    let address = address(&mut host);
    let (code, why) = get(&address, "/readyz");
    assert_eq!(code, 503, "{why}");
    assert!(why.starts_with("start: ") && why.contains("Kafka"), "{why}");
    // While it loads the plugin, a stop ends it with 0.
    host.wait_for("no answer yet; retrying");
    assert_eq!(get(&address, "/livez").0, 200);
    assert_eq!(status(&address)["ready"], false);
    assert_eq!(sample(&get(&address, "/metrics").1, "mapper_host_ready"), 0.0);
    // Slow clients do not delay the probes.
    let slow = |_| {
        let mut stream = TcpStream::connect(&address).expect("a server");
        stream.write_all(b"GET /status HTTP/1.1\r\nx").expect("a server that reads");
        stream
    };
    let _slow: Vec<TcpStream> = (0..100).map(slow).collect();
    assert_eq!(get(&address, "/livez").0, 200);
    host.signal(libc::SIGTERM);
    assert_eq!(host.wait().code, Some(4));
}

#[test]
fn used_admin_address_is_an_error_if_configured() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let plugin = reduce_visit().display().to_string();
    let output =
        host::command(HOST).args(["--plugin", &plugin, "--admin", &address]).output().expect("the host can be run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains(&address) && stderr.contains("--admin off") && !stderr.contains("This is a demo"),
        "{stderr}"
    );
}

#[test]
fn used_default_admin_address_is_no_error() {
    // The default address is in use, by this test or by another process.
    let _taken = TcpListener::bind("127.0.0.1:8080");
    let plugin = reduce_visit().display().to_string();
    let mut host = Host::spawn(host::command(HOST).env_remove("MAPPER_ADMIN").args(["--plugin", &plugin]));
    host.wait_for("running without the admin server");
    host.wait_for("visits_reduced  {");
    host.signal(libc::SIGINT);
    assert_eq!(host.wait().code, Some(0));
}

#[test]
fn admin_off_starts_no_server() {
    let plugin = reduce_visit().display().to_string();
    let mut host = Host::spawn(host::command(HOST).args(["--plugin", &plugin, "--admin", "off"]));
    host.wait_for("This is a demo");
    host.wait_for("visits_reduced  {");
    assert!(!host.output().contains("admin server"), "{}", host.output());
    host.signal(libc::SIGINT);
    assert_eq!(host.wait().code, Some(0));
}
