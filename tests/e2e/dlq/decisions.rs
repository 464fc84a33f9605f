//! Commands that record what was decided about groups and letters.

use harness::topics::{self, NewRecord};

use super::{dlq, group_of, json, reference_job, run};

#[test]
fn decisions_about_a_group_are_kept_in_the_state_topic() {
    let job = reference_job("dlq-decisions");
    let groups = json(&job, &["groups"]);
    let group = group_of(&groups, "fromisoformat: argument must be str");
    let state = || {
        let groups = json(&job, &["groups", "--state", "all"]);
        let all = groups["groups"].as_array().expect("groups").clone();
        all.into_iter().find(|found| found["fingerprint"] == *group).expect("the group")
    };
    let acknowledged = run(&job, &["ack", &group[..8], "--reason", "ticket 42"]);
    assert!(acknowledged.starts_with(&format!("acknowledged group {group} (rejected, ")), "{acknowledged}");
    let found = state();
    assert_eq!((&found["state"], &found["decision"]["reason"]), (&"acknowledged".into(), &"ticket 42".into()));
    assert!(found["decision"]["by"].as_str().is_some_and(|by| by.starts_with("ada@")), "{found:#}");

    run(&job, &["mute", &group, "--for", "7d", "--reason", "known"]);
    assert_eq!((&state()["state"], &state()["history"][0]["mark"]), (&"muted".into(), &"acknowledged".into()));
    let text = run(&job, &["groups"]);
    assert!(!text.contains(&group) && text.contains("; 1 muted or resolved groups are not shown"), "{text}");

    run(&job, &["resolve", &group, "--reason", "fixed in 0.2"]);
    assert_eq!(state()["state"], "resolved");
    // The same failure after it is resolved.
    topics::produce(
        job.kafka,
        &job.input,
        [NewRecord::value(r#"{"event_time": null, "visit_id": null, "page": null}"#)],
    );
    job.run_to_end(&["--workers", "2"]);
    assert_eq!(state()["state"], "regressed");
    assert_eq!(json(&job, &["groups", "--state", "regressed"])["groups"].as_array().map(Vec::len), Some(1));

    run(&job, &["reopen", &group, "--reason", "it is back"]);
    assert_eq!(state()["state"], "new");
    let ended = dlq(&job, &["ack", &group, "--reason", " "]);
    assert!(ended.code == Some(2) && ended.output.contains("--reason: it is empty"), "{}", ended.output);
    let ended = dlq(&job, &["ack", "0000000000000000", "--reason", "x"]);
    assert!(ended.code == Some(1) && ended.output.contains("no dead letter"), "{}", ended.output);
}

#[test]
fn discarded_letters_are_closed_with_their_reason() {
    let job = reference_job("dlq-discard");
    let group = group_of(&json(&job, &["groups"]), "fromisoformat: argument must be str");
    let ended = dlq(&job, &["discard", "--reason", "all of them"]);
    assert!(ended.code == Some(2) && ended.output.contains("no letters are selected"), "{}", ended.output);
    let count = run(&job, &["list", &group]).lines().count();
    let discarded = run(&job, &["discard", &group, "--reason", "test data"]);
    assert!(
        discarded.contains(&format!("discarded {count} letters of {}: test data", job.dead_letters)),
        "{discarded}"
    );
    let groups = json(&job, &["groups"]);
    assert_eq!(groups["letters"]["open"], 1597 - count);
    assert_eq!(groups["letters"]["closed"], count);
    assert_eq!(run(&job, &["list", &group, "--state", "closed"]).lines().count(), count);
    assert_eq!(run(&job, &["export", &group]).lines().count(), 0);
}

#[test]
fn state_topic_that_cannot_be_used_is_an_error_with_the_way_out() {
    let job = reference_job("dlq-states");
    let group = group_of(&json(&job, &["groups"]), "fromisoformat: argument must be str");
    let states = topics::unique("states");
    topics::create(job.kafka, &states, 1, &[("cleanup.policy", "delete")]);
    let mark = ["ack", &group, "--reason", "x", "--state-topic", &states];
    let ended = dlq(&job, &mark);
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    for part in [
        "is not compacted (cleanup.policy)",
        "kafka-configs.sh --bootstrap-server ",
        "--add-config cleanup.policy=compact",
    ] {
        assert!(ended.output.contains(part), "{part:?} is not in {}", ended.output);
    }
    topics::alter(job.kafka, &states, &[("cleanup.policy", "compact")]);
    run(&job, &mark);
    // A later version of the program has written a record that this one does not understand.
    topics::produce(job.kafka, &states, [NewRecord::value(r#"{"v": 99}"#).key(format!("group {group}"))]);
    let ended = dlq(&job, &["groups", "--state-topic", &states]);
    assert!(ended.code == Some(2) && ended.output.contains("Use a newer mapper-host"), "{}", ended.output);
}
