//! A shadow: a candidate that maps live records, and whose outputs are not produced.

use harness::host::command;
use harness::kafka::Kafka;

use super::*;

fn args() -> Vec<&'static str> {
    ARGS.into_iter().chain(["--watch", "off", "--batch-records", "10", "--workers", "1"]).collect()
}

#[test]
fn shadow_receives_records_and_produces_nothing() {
    let file = File::new("one");
    let job = job("shadow", Kafka::shared(), &file.path());
    let mut host = job.start(&args());
    warm_up(&job, 20);
    let client = client(&mut host);
    client.start_shadow(version("rejects-some")).expect("a shadow");
    assert!(client.start_shadow(version("two")).is_err(), "there is one already");
    let mut sent = 20;
    wait_for("differences", || {
        sent += 20;
        produce(&job, "good", 20);
        topics::read_until(job.kafka, &job.output, sent, SOON);
        client.shadow().expect("an answer").is_some_and(|shadow| shadow.broken > 0 && shadow.seen >= 20)
    });
    let ended = client.stop_shadow().expect("an answer").expect("a shadow");
    assert!(!ended.running && ended.same == 0 && ended.different == ended.seen, "{ended:?}");
    assert_eq!(ended.failing.get("rejected"), Some(&ended.broken));
    assert!(ended.differences[0].old.starts_with("one "), "{ended:?}");
    assert_eq!(ended.seen + ended.unseen, (sent - 20) as u64, "all that went by is accounted for");
    assert!(outputs_are_by_one(&job));
    // The same at a terminal, until Ctrl-C.
    let candidate = file.at("candidate.wasm");
    fs::write(&candidate, version("rejects-some")).expect("a file");
    let address = crate::admin::address(&mut host);
    let candidate = candidate.display().to_string();
    let mut shadow = Host::spawn(command(HOST).args(["shadow", &candidate, "--admin", &address]));
    wait_for("the shadow to begin", || client.shadow().expect("an answer").is_some_and(|shadow| shadow.running));
    produce(&job, "good", 20);
    shadow.wait_for("+ rejected: not this one");
    shadow.signal(libc::SIGINT);
    let shown = shadow.wait();
    assert_eq!(shown.code, Some(0), "{}", shown.output);
    assert!(
        shown.output.contains(" records seen (") && shown.output.contains("ended: it was stopped"),
        "{}",
        shown.output
    );
    // A swap ends the next shadow, because its baseline is no longer active.
    client.start_shadow(version("two")).expect("a shadow");
    client.swap(version("two"), false, false).expect("an answer");
    let status = status(&mut host).shadow.expect("a shadow");
    assert!(!status.running && status.ended.is_some_and(|why| why.contains("swapped")));
}

fn outputs_are_by_one(job: &Job<'_>) -> bool {
    topics::read_all(job.kafka, &job.output).iter().all(|output| is_by("one", output))
}

#[test]
fn slow_shadow_delays_nothing_and_reports_its_share_of_records() {
    const RECORDS: usize = 3000;
    let file = File::new("one");
    let job = job("slow-shadow", Kafka::shared(), &file.path());
    let mut host = job.start(&args());
    warm_up(&job, 20);
    let client = client(&mut host);
    // The shadow would need a minute for these records.
    client.start_shadow(version("slow")).expect("a shadow");
    produce(&job, "good", RECORDS);
    topics::read_until(job.kafka, &job.output, 20 + RECORDS, SOON);
    let behind = client.shadow().expect("an answer").expect("a shadow");
    assert!(behind.running && behind.unseen > 0 && behind.seen < RECORDS as u64, "{behind:?}");
    let ended = client.stop_shadow().expect("an answer").expect("a shadow");
    assert!(!ended.running && ended.seen > 0 && ended.unseen > ended.seen, "{ended:?}");
    assert_eq!(ended.seen + ended.unseen, RECORDS as u64, "all that went by is accounted for");
    assert_eq!((ended.different, ended.broken), (ended.seen, 0), "{ended:?}");
    assert!(outputs_are_by_one(&job));
}
