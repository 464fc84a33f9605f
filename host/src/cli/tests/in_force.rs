//! The settings in force, with their sources and without secrets.

use std::collections::BTreeSet;

use mapper_api::settings::{SettingInForce, SettingSource};

use super::*;

/// The settings with this name: key, value, and origin.
fn found<'s>(settings: &'s [SettingInForce], name: &str) -> Vec<(Option<&'s str>, Option<&'s str>, Option<&'s str>)> {
    let named = settings.iter().filter(|setting| setting.name == name);
    named.map(|setting| (setting.key.as_deref(), setting.value.as_deref(), setting.origin.as_deref())).collect()
}

#[test]
fn every_setting_of_the_page_is_in_force_with_its_default() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
    let page = std::fs::read_to_string(page).unwrap();
    let run = page.split("\n## ").find(|section| section.starts_with("mapper-host run\n")).unwrap();
    let rows = run.lines().filter_map(|line| line.strip_prefix("| `--")?.split(['`', ' ']).next());
    let documented: BTreeSet<&str> = rows.collect();
    let config = run_config(&[PLUGIN], &[]);
    let pipeline = &config.settings.pipelines[DEFAULT_PIPELINE];
    let all: Vec<&SettingInForce> = config.settings.process.iter().chain(pipeline).collect();
    let names: BTreeSet<&str> = all.iter().map(|setting| setting.name.as_str()).collect();
    assert!(documented.len() > 50 && all.len() == names.len(), "{documented:?}");
    assert_eq!(names, documented);
    let given: Vec<&&SettingInForce> = all.iter().filter(|setting| setting.source != SettingSource::Default).collect();
    assert_eq!(given.len(), 1, "{given:?}");
    assert_eq!(found(pipeline, "plugin"), [(None, Some("p.wasm"), Some("flag --plugin"))]);
    assert_eq!(found(pipeline, "commit-interval"), [(None, Some("100ms"), None)]);
    assert_eq!(found(pipeline, "ledger-topic"), [(None, Some("none: no ledger is written"), None)]);
    assert_eq!(found(pipeline, "create-topics").len(), 1);
}

#[test]
fn each_setting_names_its_strongest_source_and_defaults_follow_from_other_settings() {
    let file = file(
        r#"
log-level = "warn"
workers = 3
batch-records = 7
commit-interval = "50ms"
brokers = "k:9092"
otlp-endpoint = "http://user:hunter2@c:4318"
plugin = "p.wasm"
output-topic = "out"
dead-letter-topic = "dlq"
[[pipeline]]
name = "orders"
input-topics = ["a", "b"]
workers = 4
"#,
    );
    let path = file.path().to_str().unwrap();
    let arguments = ["run", "--config", path, "--workers", "9", "--batch-records", "8"];
    let config = run_config(&[&arguments], &[("MAPPER_BATCH_RECORDS", "6"), ("MAPPER_COMMIT_INTERVAL", "20ms")]);
    let (process, orders) = (&config.settings.process, &config.settings.pipelines["orders"]);
    let origin = |key: &str| format!("{path}, key {key}");
    assert_eq!(found(process, "log-level"), [(None, Some("warn"), Some(&*origin("log-level")))]);
    assert_eq!(found(process, "config"), [(None, Some(path), Some("flag --config"))]);
    assert_eq!(found(process, "admin-payloads"), [(None, Some("show"), None)]);
    let table = format!("{path}, pipeline orders, key workers");
    assert_eq!(found(orders, "workers"), [(None, Some("4"), Some(&*table))]);
    assert_eq!(found(orders, "batch-records"), [(None, Some("8"), Some("flag --batch-records"))]);
    assert_eq!(found(orders, "commit-interval"), [(None, Some("20ms"), Some("variable MAPPER_COMMIT_INTERVAL"))]);
    assert_eq!(found(orders, "input-topics")[0].1, Some("a, b"));
    let endpoint = process.iter().find(|setting| setting.name == "otlp-endpoint").unwrap();
    assert_eq!(
        (endpoint.value.as_deref(), endpoint.is_hidden, endpoint.source),
        (Some("http://…@c:4318"), true, SettingSource::File)
    );
    for (name, value) in [("group", "orders"), ("delivery", "exactly-once"), ("state-topic", "dlq.state")] {
        assert_eq!(found(orders, name), [(None, Some(value), None)]);
    }
}

#[test]
fn secrets_are_hidden_in_the_settings_in_force() {
    // The password has a ';', so the end of it looks like an entry.
    let variables = [
        ("MAPPER_KAFKA", "sasl.password=hunter2\nlinger.ms=5"),
        ("MAPPER_SET", "token=hunter2;hunter2=hunter2"),
        ("MAPPER_ALERT_WEBHOOK", "https://user:hunter2@alerts.example.com/hunter2?token=hunter2"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@collector:4318"),
    ];
    let flags = ["--kafka", "sasl.username=hunter2", "--kafka", "security.protocol=ssl", "--set", "field=hunter2"];
    let config = run_config(&[KAFKA, &flags], &variables);
    let (process, pipeline) = (&config.settings.process, &config.settings.pipelines[DEFAULT_PIPELINE]);
    assert!(!format!("{process:?} {pipeline:?}").contains("hunter2"), "{process:?} {pipeline:?}");
    let (flag, variable) = (Some("flag --kafka"), Some("variable MAPPER_KAFKA"));
    assert_eq!(
        found(pipeline, "kafka"),
        [
            (Some("sasl.username"), None, flag),
            (Some("security.protocol"), Some("ssl"), flag),
            (Some("sasl.password"), None, variable),
            (Some("linger.ms"), Some("5"), variable),
        ]
    );
    let (flag, variable) = (Some("flag --set"), Some("variable MAPPER_SET"));
    assert_eq!(found(pipeline, "set"), [(Some("field"), None, flag), (None, None, variable), (None, None, variable)]);
    let webhook = found(process, "alert-webhook");
    assert_eq!(webhook, [(None, Some("https://alerts.example.com/…"), Some("variable MAPPER_ALERT_WEBHOOK"))]);
    assert_eq!(found(process, "otlp-endpoint")[0].1, Some("http://…@collector:4318/v1/traces"));
    let hidden = process.iter().chain(pipeline).filter(|setting| setting.is_hidden).count();
    assert_eq!(hidden, 6);
}
