//! The trace context of a record is propagated to its outputs, and a collector receives the spans.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use harness::host::Job;
use harness::kafka::Kafka;
use harness::plugins;
use harness::topics::{self, NewRecord, Record};

use crate::{HOST, reduce_visit};

const GOOD: &str = r#"{"visit_id": "1", "event_time": "2023-11-01T00:00:00Z", "page": "main"}"#;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn traced(value: &str, traceparent: &str) -> NewRecord {
    NewRecord::value(value).header("traceparent", traceparent).header("tracestate", "vendor=x")
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let mut found = record.headers.iter().filter(|(known, _)| known == name);
    let value = found.next()?.1.as_deref().map(|value| std::str::from_utf8(value).expect("text"));
    assert!(found.next().is_none(), "{name} twice: {record:?}");
    value
}

#[test]
fn trace_context_is_propagated_when_the_mapper_sets_headers() {
    for world in ["tests/guests/commands_batch", "tests/guests/commands_record"] {
        let job = Job::new(Kafka::shared(), "trace", HOST, &plugins::build(HOST, world));
        let commands = ["keep", "headers", "no-headers", "reject"];
        topics::produce(job.kafka, &job.input, commands.map(|command| traced(command, SAMPLED).partition(0)));
        job.run_to_end(&[]);
        let outputs = topics::read_all(job.kafka, &job.output);
        assert_eq!(outputs.len(), 3, "{world}: {outputs:?}");
        for record in outputs.iter().chain(&topics::read_all(job.kafka, &job.dead_letters)) {
            assert_eq!(header(record, "traceparent"), Some(SAMPLED), "{world}");
            assert_eq!(header(record, "tracestate"), Some("vendor=x"), "{world}");
        }
        let names: Vec<&str> = outputs[2].headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["traceparent", "tracestate"], "nothing else comes along");
    }
}

/// Accepts requests on loopback and sends the body of each to a channel.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, bodies) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                while let Some(body) = request(&mut stream) {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                    if stream.write_all(answer.as_bytes()).is_err() || sender.send(body).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, bodies)
}

/// The body of the next request with spans.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn contains(bodies: &[u8], part: &[u8]) -> bool {
    bodies.windows(part.len()).any(|window| window == part)
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn collector_receives_spans_and_outputs_are_children_of_the_host_span() {
    let (url, bodies) = collector();
    let job = Job::new(Kafka::shared(), "spans", HOST, &reduce_visit());
    let records = [traced(GOOD, SAMPLED), traced("{", SAMPLED), traced(GOOD, NOT_SAMPLED), NewRecord::value(GOOD)];
    topics::produce(job.kafka, &job.input, records.map(|record| record.partition(0)));
    job.run_to_end(&["--otlp-endpoint", &url]);

    let outputs = topics::read_all(job.kafka, &job.output);
    let [ours, untouched, none] = [0, 1, 2].map(|index| header(&outputs[index], "traceparent"));
    let ours = ours.expect("its trace goes on");
    assert!(ours.starts_with(&format!("00-{TRACE}-")) && ours.ends_with("-01") && ours != SAMPLED, "{ours}");
    assert_eq!((untouched, none), (Some(NOT_SAMPLED), None));
    assert_eq!(header(&outputs[0], "tracestate"), Some("vendor=x"));
    let letters = topics::read_all(job.kafka, &job.dead_letters);
    assert_eq!(header(&letters[0], "traceparent"), Some(SAMPLED), "a dead letter is as its record was");

    // All spans were sent before the end.
    let sent: Vec<u8> = bodies.try_iter().flatten().collect();
    let names = ["transaction", "process", "commit"].map(|operation| format!("{operation} {}", job.input));
    for text in names.iter().map(String::as_str).chain(["mapper-host", "messaging.kafka.offset", "rejected"]) {
        assert!(contains(&sent, text.as_bytes()), "no {text} in {}", String::from_utf8_lossy(&sent));
    }
    assert!(contains(&sent, &bytes(TRACE)), "no span of the record's trace");
    assert!(contains(&sent, &bytes(&ours[36..52])), "the parent of what comes next was not told of");
}

#[test]
fn unreachable_collector_loses_only_spans() {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let job = Job::new(Kafka::shared(), "gone", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..1000).map(|_| traced(GOOD, SAMPLED)));
    let ended = job.run_to_end(&["--otlp-endpoint", &format!("http://{gone}")]);
    assert!(ended.output.contains("1000 records in "), "{}", ended.output);
    assert_eq!(topics::read_all(job.kafka, &job.output).len(), 1000);
}
