//! The pages with settings, hidden record data and the audit.

use super::*;

#[tokio::test]
async fn page_with_hidden_record_data_says_so_and_names_the_setting() {
    let record = json!({
        "position": "visits/0@12", "mapped_at": "2026-11-27T10:00:00.000Z", "timestamp_ms": null, "headers": 0,
        "plugin": {"name": "reduce_visit", "version": "0.1.0", "digest": "aa"}, "verdict": "failed", "failure": {"kind": "trap"},
        "outputs": [{"topic": "reduced"}], "more_outputs": 0,
    });
    for (payloads, notice) in [
        (Payloads::Mask, Some("Record data is masked")),
        (Payloads::Off, Some("Record data is left out")),
        (Payloads::Show, None),
    ] {
        let table = api(vec![
            ("GET /v1/pipelines/orders/recent", 200, json!({"records": [record], "sampled": 1})),
            (
                "GET /v1/pipelines/orders/dead-letters/cases?group=ab",
                403,
                json!({"step": null, "reason": "the request is refused: --admin-payloads is mask"}),
            ),
        ]);
        let mut browser = Browser::new(TableApi { payloads, ..table });
        let page = browser.get("/pipelines/orders/live").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert_eq!(
            page.text.contains(&format!("--admin-payloads {}", payloads.name())),
            notice.is_some(),
            "{}",
            page.text
        );
        assert!(notice.is_none_or(|notice| page.text.contains(notice)), "{}", page.text);
        // Of the key and the value of the record, and the value of its output.
        let (absent, times) = if payloads == Payloads::Off { ("left out</span>", 3) } else { ("no value</span>", 2) };
        assert_eq!(page.text.matches(absent).count(), times, "{}", page.text);
        let cases = browser.get("/pipelines/orders/dead-letters/groups/ab/cases").await;
        assert_eq!(cases.status, StatusCode::FORBIDDEN);
        assert!(cases.text.contains("--admin-payloads is mask"), "{}", cases.text);
        // Only the page that has such an answer.
        assert!(!browser.get("/login").await.text.contains("--admin-payloads"));
    }
}

#[tokio::test]
async fn settings_pages_show_sources_hide_secrets_and_can_leave_out_defaults() {
    let setting = |name: &str, key: Value, value: Value, is_hidden: bool, origin: Value| {
        let source = if origin.is_null() { "default" } else { "flag" };
        json!({"group": "Kafka", "name": name, "key": key, "value": value, "is_hidden": is_hidden, "source": source, "origin": origin})
    };
    let settings = json!([
        setting("brokers", Value::Null, json!("…@k:9092<b>\u{202e}"), true, json!("flag --brokers")),
        setting("kafka", json!("sasl.<i>"), Value::Null, true, json!("host.toml, key kafka")),
        setting("group", Value::Null, json!("visits_reader"), false, Value::Null),
    ]);
    let mut browser = Browser::new(api(vec![
        ("GET /v1/settings", 200, json!([setting("log-level", Value::Null, json!("info"), false, Value::Null)])),
        ("GET /v1/pipelines/a%2Fb/settings", 200, settings),
        ("GET /v1/pipelines", 200, json!([])),
    ]));
    let page = browser.get("/pipelines/a%2Fb/settings").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    for shown in [
        "2 given",
        "@k:9092&lt;b&gt;\\u{202e}",
        "(a part is hidden)",
        "sasl.&lt;i&gt;",
        "hidden: it may be secret",
        "host.toml, key kafka",
        "visits_reader",
        ">default<",
        "href=\"/base/console/settings\"",
        "href=\"/base/console/pipelines/a%2Fb/settings?given=true\"",
    ] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let page = browser.get("/pipelines/a%2Fb/settings?given=true").await;
    assert!(page.text.contains("@k:9092") && !page.text.contains("visits_reader"), "{}", page.text);
    let page = browser.get("/settings").await;
    assert!(page.text.contains("log-level") && page.text.contains("0 given"), "{}", page.text);
    assert!(browser.get("").await.text.contains("href=\"/base/console/settings\""));
}

fn settings_with_ledger(source: &str) -> Value {
    let setting = |name: &str, value: &str| json!({"group": "Topics", "name": name, "key": null, "value": value, "is_hidden": false, "source": source, "origin": null});
    json!([setting("ledger-topic", "led<g>er"), setting("group", "visits_reader")])
}

#[tokio::test]
async fn audit_page_runs_only_after_a_click_and_shows_findings_as_text() {
    let partition = |number: i32, ranges: u64| {
        json!({
            "topic": "vis<i>ts", "partition": number, "first": 0, "last": 41, "committed": 42, "ranges": ranges, "records": 40, "outputs": 30,
            "dead_letters": 4, "skipped": 6, "without_record": 2, "missed": 0,
        })
    };
    let finding = json!({"kind": "missing", "at": "vis<i>ts/1@7..9", "count": 3, "reason": "3 offsets \u{202e}"});
    let report = json!({
        "partitions": [partition(0, 2), partition(1, 2), partition(2, 0)],
        "topics": [{"topic": "out", "records": 30, "counted": 31, "recent": 0, "removed": 0}],
        "redrives": {"topic": "dlq.state", "resolutions": 5, "counted": 5}, "findings": {"total": 1, "listed": [finding]}, "notes": ["a <note>"],
    });
    let clean = json!({"partitions": [], "topics": [], "findings": {"total": 0, "listed": []}, "notes": []});
    let late = json!({"step": null, "reason": "the audit was ended after 1m"});
    let mut browser = Browser::new(api(vec![
        ("GET /v1/pipelines/orders/settings", 200, settings_with_ledger("flag")),
        ("GET /v1/pipelines/orders/audit", 200, report),
        ("GET /v1/pipelines/orders/audit?since=2h", 200, clean),
        ("GET /v1/pipelines/orders/audit?since=3h", 504, late),
        ("GET /v1/pipelines/none/settings", 200, settings_with_ledger("default")),
    ]));
    let page = browser.get("/pipelines/orders/audit").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("Run the audit") && !page.text.contains("findings"), "{}", page.text);
    assert!(
        page.text.contains("mapper-host audit --ledger-topic 'led&lt;g&gt;er' --group visits_reader"),
        "{}",
        page.text
    );
    let page = browser.get("/pipelines/orders/audit?run=true&since=").await;
    for shown in [
        "1 findings",
        "vis&lt;i&gt;ts/1@7..9",
        "3 missing",
        "complete, each offset once",
        "the ledger has nothing of it",
        "3 offsets \\u{202e}",
        "a &lt;note&gt;",
        "5 in dlq.state",
        "0–41",
    ] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let page = browser.get("/pipelines/orders/audit?run=true&since=2h").await;
    assert!(page.text.contains("Nothing is missing, duplicated or unexplained"), "{}", page.text);
    assert!(page.text.contains("value=\"2h\"") && page.text.contains("--since 2h"), "{}", page.text);
    let page = browser.get("/pipelines/orders/audit?run=true&since=3h").await;
    assert_eq!(page.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(page.text.contains("the audit was ended after 1m"), "{}", page.text);
    let page = browser.get("/pipelines/none/audit?run=true").await;
    assert!(page.text.contains("has no ledger") && page.text.contains("--ledger-topic TOPIC"), "{}", page.text);
}
