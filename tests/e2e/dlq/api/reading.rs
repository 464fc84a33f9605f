//! Groups, letters and cases over HTTP, and decisions about them.

use harness::topics;
use serde_json::{Value, json};

use super::super::{group_of, json as from_command, reference_job, run};
use super::start;

/// The groups or letters of an answer.
fn all<'a>(found: &'a Value, field: &str) -> &'a Vec<Value> {
    found[field].as_array().unwrap_or_else(|| panic!("no {field} in {found:#}"))
}

#[test]
fn api_answers_what_the_commands_print() {
    let job = reference_job("api-reading");
    let (_host, api) = start(&job, &[]);
    let mut groups = api.found("/dead-letters/groups");
    assert_eq!(groups["hidden_groups"], 0);
    groups.as_object_mut().expect("an object").remove("hidden_groups");
    assert_eq!(groups, from_command(&job, &["groups"]));
    let of_named = api.found("/v1/pipelines/default/dead-letters/groups?limit=1");
    assert_eq!((all(&of_named, "groups").len(), &of_named["groups"][0]), (1, &groups["groups"][0]));
    assert_eq!(of_named["hidden_groups"], all(&groups, "groups").len() - 1);

    let group = group_of(&groups, "fromisoformat: argument must be str");
    let shown = api.found(&format!("/dead-letters/groups/{}", &group[..8]));
    assert_eq!(shown, from_command(&job, &["show", &group]));
    let position = shown["letters"][0]["position"].as_str().expect("a position");
    let source = shown["letters"][0]["source"].as_str().expect("a position");
    for at in [position, source, &position.replace('@', "%40").replace('/', "%2F")] {
        let letters = api.found(&format!("/dead-letters/letter?position={at}"));
        assert_eq!(letters, from_command(&job, &["show", position]), "{at}");
    }
    let cases = api.send(&format!("GET /dead-letters/cases?group={group}&limit=5"), &[], b"");
    let printed = run(&job, &["cases", &group, "--limit", "5"]);
    let parse =
        |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect() };
    assert_eq!((cases.0, parse(&cases.1).len()), (200, 5));
    // The order of partitions is not fixed.
    assert!(parse(&printed).iter().all(|case| case["succeeds"] == true && parse(&cases.1)[0]["succeeds"] == true));
}

#[test]
fn pages_have_each_letter_once_in_the_order_of_their_positions() {
    let job = reference_job("api-pages");
    let (_host, api) = start(&job, &[]);
    let (mut positions, mut next) = (Vec::new(), String::new());
    loop {
        let page = api.found(&format!("/dead-letters?limit=700{next}"));
        let letters = all(&page, "letters");
        positions.extend(letters.iter().map(|letter| letter["position"].as_str().expect("a position").to_owned()));
        let Some(after) = page["next"].as_str() else { break };
        assert!(letters.len() == 700 && positions.last().is_some_and(|last| last == after), "{after}");
        next = format!("&after={after}");
    }
    let expected: Vec<String> = topics::end_offsets(job.kafka, &job.dead_letters)
        .into_iter()
        .enumerate()
        .flat_map(|(partition, _)| {
            let mut offsets: Vec<i64> = topics::read_all(job.kafka, &job.dead_letters)
                .iter()
                .filter(|letter| letter.partition == partition as i32)
                .map(|letter| letter.offset)
                .collect();
            offsets.sort_unstable();
            offsets.into_iter().map(move |offset| (partition, offset))
        })
        .map(|(partition, offset)| format!("{}/{partition}@{offset}", job.dead_letters))
        .collect();
    assert_eq!(positions, expected);
    let filtered = api.found("/dead-letters?limit=1000&kind=trap");
    assert_eq!((all(&filtered, "letters").len(), &filtered["next"]), (0, &Value::Null));
    let (status, error) = api.get(&format!("/dead-letters?after={}/0@0", job.input));
    assert!(
        status == 400 && error["reason"].as_str().is_some_and(|why| why.contains("give a position in the topic")),
        "{error}"
    );
}

#[test]
fn decisions_and_discarded_letters_are_recorded_for_the_commands() {
    let job = reference_job("api-decisions");
    let (_host, api) = start(&job, &[]);
    let group = group_of(&api.found("/dead-letters/groups"), "fromisoformat: argument must be str");
    let state = || {
        let groups = from_command(&job, &["groups", "--state", "all"]);
        all(&groups, "groups").iter().find(|found| found["fingerprint"] == *group).expect("the group").clone()
    };
    let decide = |what: &str, body: Value| {
        let (status, recorded) = api.post(&format!("/dead-letters/groups/{group}/{what}"), &body);
        assert_eq!(status, 200, "{what}: {recorded:#}");
        recorded
    };
    let recorded = decide("acknowledge", json!({"reason": "ticket 42"}));
    assert_eq!(
        (&recorded["fingerprint"], &recorded["decision"]["mark"]),
        (&group.clone().into(), &"acknowledged".into())
    );
    assert_eq!((&state()["state"], &state()["decision"]), (&"acknowledged".into(), &recorded["decision"]));
    assert!(recorded["decision"]["by"].as_str().is_some_and(|by| by.starts_with("http@")), "{recorded:#}");
    let muted = decide("mute", json!({"reason": "known", "until": "2096-01-31T10:00:00Z"}));
    assert_eq!((&state()["state"], &muted["decision"]["until"]), (&"muted".into(), &"2096-01-31T10:00:00Z".into()));
    let groups = api.found("/dead-letters/groups");
    assert_eq!(groups["hidden_groups"], 1);
    assert!(all(&groups, "groups").iter().all(|found| found["fingerprint"] != *group));
    decide("resolve", json!({"reason": "fixed", "version": "beef0123"}));
    assert_eq!((&state()["state"], &state()["decision"]["version"]), (&"resolved".into(), &"beef0123".into()));
    decide("reopen", json!({"reason": "it is back"}));
    assert_eq!(state()["state"], "new");

    let count = run(&job, &["list", &group]).lines().count();
    let (status, discarded) =
        api.post(&format!("/dead-letters/discard?group={group}"), &json!({"reason": "test data"}));
    assert_eq!((status, &discarded["discarded"]), (200, &count.into()), "{discarded:#}");
    assert_eq!(run(&job, &["list", &group, "--state", "closed"]).lines().count(), count);
    let (status, error) = api.post(&format!("/dead-letters/discard?group={group}"), &json!({"reason": "again"}));
    assert_eq!(status, 404, "{error}");
}

#[test]
fn wrong_requests_are_answered_with_the_value_and_the_way_out() {
    let job = reference_job("api-wrong");
    let (_host, api) = start(&job, &[]);
    let reason = json!({"reason": "x"});
    let group = group_of(&api.found("/dead-letters/groups"), "fromisoformat: argument must be str");
    let ack = format!("/dead-letters/groups/{group}/acknowledge");
    for (answer, expected, part) in [
        (api.get("/v1/pipelines/nothing/dead-letters"), 404, "there is no pipeline \"nothing\" here"),
        (api.get("/dead-letters/groups/0000000000000000"), 404, "is selected. mapper-host dlq groups lists the groups"),
        (api.post("/dead-letters/groups/0000000000000000/reopen", &reason), 404, "is selected"),
        (api.get(&format!("/dead-letters/letter?position={}/0@999999", job.dead_letters)), 404, "is selected"),
        (api.get("/dead-letters/letter"), 400, "parameter position: it is missing"),
        (api.get("/dead-letters/letter?position=here"), 400, "give TOPIC/PARTITION@OFFSET"),
        (api.get("/dead-letters/groups/xyz"), 400, "\"xyz\" is not allowed: give the fingerprint"),
        (
            api.get("/dead-letters/groups?grop=1"),
            400,
            "parameter grop: it is unknown. The parameters of this route are: group,",
        ),
        (api.get("/dead-letters?limit=1001"), 400, "\"1001\" is not allowed: give a whole number from 1 to 1000"),
        (api.post(&ack, &json!({"reason": " "})), 400, "field reason: it is empty"),
        (api.post(&ack, &json!({"why": "x"})), 400, "unknown field `why`"),
        (api.post(&ack, &json!({"reason": "x", "until": "2096-01-31T10:00:00Z"})), 400, "acknowledge does not have it"),
        (
            api.post(&ack.replace("acknowledge", "mute"), &json!({"reason": "x", "until": "2020-01-01T00:00:00Z"})),
            400,
            "in the future",
        ),
        (api.post("/dead-letters/discard", &reason), 400, "no letters are selected"),
        (super::parsed(api.send(&format!("POST {ack}"), &[], b"{}")), 415, "Content-Type: application/json"),
    ] {
        let (status, error) = answer;
        let why = error["reason"].as_str().unwrap_or_default();
        assert!(status == expected && why.contains(part), "{expected} {part:?}: {status} {error:#}");
    }
    assert!(!topics::exists(job.kafka, &format!("{}.state", job.dead_letters)), "nothing was recorded");
}
