//! What is hidden of each kind of answer.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mapper_api::dead_letters::Letter;
use mapper_api::map::MapResult;
use mapper_api::recent::RecentRecords;
use mapper_api::redrives::Redrive;
use mapper_api::versions::Report;
use mapper_core::quotation::LAST_FAILURE;
use serde::de::DeserializeOwned;
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::admin::Options;
use crate::admin::tests::{answer, ask, serve_with, single};
use crate::pipelines::State;

const SECRET: &str = "s3cret";

/// The JSON without record data. A client can read it.
fn hidden<T: Serialize + JsonSchema + DeserializeOwned>(mode: Payloads, value: Value) -> Value {
    let value: T = serde_json::from_value(value).unwrap();
    let text = PayloadFilter::new(mode).json(&value).unwrap();
    assert!(!text.contains(SECRET) && !text.contains("czNjcmV0"), "{mode}: {text}");
    serde_json::from_str::<T>(&text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn version() -> Value {
    json!({"name": "m", "version": "1", "digest": "aa"})
}

fn letter() -> Value {
    json!({
        "position": "dlq/0@1", "source": "visits/0@2", "state": "open", "format": "mapper-host/2", "kind": "rejected", "fingerprint": "ab",
        "message": SECRET, "backtrace": format!("at main\nlog: {SECRET}"), "plugin": version(), "attempt": 1, "failed_at": null, "cut": null,
        "input": {"key": SECRET, "value": null, "value_base64": "czNjcmV0", "headers": [["trace", SECRET], ["none", null]], "timestamp_ms": 5},
    })
}

#[test]
fn masked_letter_has_structure_and_lengths_and_an_absent_one_no_payload() {
    let masked = hidden::<Letter>(Payloads::Mask, letter());
    assert_eq!((&masked["message"], &masked["backtrace"]), (&json!("<6 bytes of text>"), &json!("<19 bytes of text>")));
    let input = &masked["input"];
    assert_eq!(input["headers"], json!([["trace", "<6 bytes of text>"], ["none", null]]));
    assert!(input["key"].as_str().unwrap().starts_with("<key "), "{input}");
    assert_eq!((&input["value"], &input["timestamp_ms"]), (&Value::Null, &json!(5)));
    assert_eq!(input["value_base64"], "PDYgYnl0ZXMgb2YgYmluYXJ5IGRhdGE+");
    let off = hidden::<Letter>(Payloads::Off, letter());
    assert_eq!(off["input"], json!({"timestamp_ms": 5}));
    assert_eq!((off.get("message"), off.get("backtrace"), &off["kind"]), (None, None, &json!("rejected")));
}

#[test]
fn excerpts_results_and_quoted_failures_are_hidden_wherever_they_are() {
    let text = |text: &str| json!({"text": text, "bytes": text.len(), "cut": false});
    let records = json!({"sampled": 1, "records": [{
        "position": "visits/0@2", "mapped_at": "", "plugin": version(), "timestamp_ms": null, "key": {"base64": "czNjcmV0", "bytes": 6, "cut": false},
        "value": text("{\"user\": \"s3cret\"}"), "headers": 0, "verdict": "failed", "failure": {"kind": "trap", "message": text(SECRET)},
        "outputs": [{"topic": "out", "key": text(SECRET), "value": null}], "more_outputs": 0,
    }]});
    let masked = hidden::<RecentRecords>(Payloads::Mask, records.clone());
    let record = &masked["records"][0];
    assert_eq!(record["value"], json!({"text": "<18 bytes> {\"user\":<string>}", "bytes": 18, "cut": false}));
    assert_eq!(
        record["failure"],
        json!({"kind": "trap", "message": {"text": "<6 bytes of text>", "bytes": 6, "cut": false}})
    );
    // The same key, as text and in base64.
    let base64 = record["key"]["base64"].as_str().unwrap();
    assert_eq!(base64, BASE64_STANDARD.encode(record["outputs"][0]["key"]["text"].as_str().unwrap()));
    let off = hidden::<RecentRecords>(Payloads::Off, records);
    assert_eq!(off["records"][0]["outputs"], json!([{"topic": "out"}]));

    let mapped = json!({
        "plugin": version(), "position": "visits/0@0", "verdict": "produced", "failure": {"kind": "trap", "message": text(SECRET), "details": text(SECRET)},
        "outputs": [{"topic": "o", "key": null, "value": text(SECRET), "timestamp_ms": 1, "headers": [{"name": text("h"), "value": text(SECRET)}]}],
        "more_outputs": 0, "log": SECRET, "mapping_us": 1, "memory_bytes": null, "case": SECRET,
    });
    let masked = hidden::<MapResult>(Payloads::Mask, mapped.clone());
    assert_eq!((&masked["case"], &masked["outputs"][0]["headers"][0]["name"]["text"]), (&Value::Null, &json!("h")));
    hidden::<MapResult>(Payloads::Off, mapped);

    let report = json!({
        "outcome": "refused", "step": "try-out", "reason": format!("the new version does not return from a record: visits: {SECRET}"), "by": "http",
        "forced": false, "from": version(), "to": null, "offsets": {}, "pause_us": 0, "took_ms": 0, "at": "",
        "try_out": {"records": 1, "cases": 0, "same": 0, "different": 1, "broken": 1, "fixed": 0,
            "differences": [{"record": "visits, partition 0, offset 1", "input": SECRET, "old": SECRET, "new": format!("trap: {SECRET}")}]},
    });
    let masked = hidden::<Report>(Payloads::Mask, report.clone());
    assert_eq!(masked["reason"], "the new version does not return from a record: <hidden: --admin-payloads mask>");
    assert_eq!(masked["try_out"]["differences"][0]["new"], "trap: <6 bytes of text>");
    let off = hidden::<Report>(Payloads::Off, report);
    assert_eq!(off["try_out"]["differences"], json!([{"record": "visits, partition 0, offset 1"}]));

    let redrive = json!({
        "id": "1", "state": "failed", "by": "me", "started": "", "ended": null, "version": null, "to_input": false, "left_out": null,
        "progress": {"letters": 1, "done": 0, "outputs": 0, "skipped": 0, "failed_again": 0, "per_second": 0.0, "seconds_left": null},
        "new_groups": {"ab": format!("trap: {SECRET}")}, "error": format!("stopped{LAST_FAILURE}{SECRET}"),
    });
    let masked = hidden::<Redrive>(Payloads::Mask, redrive);
    assert_eq!(masked["new_groups"], json!({"ab": "trap: <6 bytes of text>"}));
}

#[test]
fn reasons_of_the_probes_and_the_status_quote_no_failure() {
    let (registry, telemetry) = single();
    registry.all()[0].set_state(State::Running);
    telemetry.breakers.opened(&telemetry.health, 0, &format!("3 records in a row trapped{LAST_FAILURE}trap: {SECRET}"));
    for payloads in Payloads::ALL {
        let (_server, address) = serve_with(&registry, Options { payloads, ..Options::default() });
        for path in ["/readyz", "/status", "/v1/pipelines", "/console", "/console/pipelines/default"] {
            let (head, body) = answer(address, "GET", path);
            assert!(body.contains("3 records in a row trapped"), "{path}: {body}");
            let is_shown = payloads == Payloads::Show;
            assert_eq!(body.contains(SECRET), is_shown, "{payloads} {path}: {body}");
            assert_eq!(body.contains(&format!("hidden: --admin-payloads {payloads}")), !is_shown, "{path}: {body}");
            if !path.starts_with("/console") {
                assert_eq!(head.contains(&format!("mapper-host-payloads: {payloads}")), !is_shown, "{path}: {head}");
            }
        }
    }
}

#[test]
fn requests_that_would_tell_what_records_contain_are_refused() {
    let (registry, _) = single();
    let all = ["/dead-letters/cases", "/dead-letters?grep=a", "/dead-letters/groups?gr%65p=a", "/recent?key=a"];
    for (payloads, refused) in [(Payloads::Show, &all[..0]), (Payloads::Mask, &all[..3]), (Payloads::Off, &all[..])] {
        let (_server, address) = serve_with(&registry, Options { payloads, ..Options::default() });
        for path in all {
            let (status, body) = ask(address, "GET", path);
            if refused.contains(&path) {
                assert!(
                    status == 403 && body.contains(&format!("--admin-payloads is {payloads}")),
                    "{path}: {status} {body}"
                );
            } else {
                assert_eq!(status, 503, "{payloads} {path}: {body}");
            }
        }
    }
}

#[tokio::test]
async fn answer_of_an_unknown_type_is_refused_unless_records_are_shown() {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt;

    for (payloads, expected) in [(Payloads::Show, 200), (Payloads::Mask, 403), (Payloads::Off, 403)] {
        let routes = Router::new().route("/", get(|| async { ([(CONTENT_TYPE, "application/jsonl")], SECRET) }));
        let routes = routes.layer(from_fn_with_state(PayloadFilter::new(payloads), apply));
        let response = routes.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&body).contains(SECRET), expected == 200);
    }
}

#[tokio::test]
async fn request_can_ask_for_a_stricter_mode_than_that_of_the_server_and_not_for_a_laxer_one() {
    for (own, asked, expected) in [
        (Payloads::Show, None, "show"),
        (Payloads::Show, Some("mask"), "mask"),
        (Payloads::Mask, Some("off"), "off"),
        (Payloads::Off, Some("show"), "off"),
        (Payloads::Show, Some("of a later version"), "off"),
    ] {
        let mode = |Extension(filter): Extension<PayloadFilter>| async move { filter.mode().name() };
        let layer = from_fn_with_state(PayloadFilter::new(own), apply);
        let routes = Router::new().route("/mode", get(mode)).layer(layer);
        let request =
            asked.into_iter().fold(Request::get("/mode"), |request, mode| request.header(PAYLOADS_HEADER, mode));
        let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), expected, "{own} {asked:?}");
    }
}
