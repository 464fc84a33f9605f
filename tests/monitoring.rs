//! The Prometheus configuration, the alert rules and the dashboard in `docker/monitoring`: promtool accepts them, each alert is tested, and each
//! metric exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Labels that Prometheus adds to every series.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn monitoring() -> PathBuf {
    root().join("docker/monitoring")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of the rules that end so.
fn rule_files(end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(monitoring().join("rules")).expect("the rules");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(end));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let output = Command::new(harness::promtool::promtool()).args(arguments).args(files).output().expect("promtool");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?} {files:?}:\n{out}{err}");
}

#[test]
fn configuration_and_rules_are_valid() {
    promtool(&["check", "config"], &[monitoring().join("prometheus.yaml")]);
    promtool(&["check", "rules"], &rule_files(".rules.yaml"));
}

#[test]
fn rules_pass_their_tests() {
    promtool(&["test", "rules"], &rule_files(".tests.yaml"));
}

/// The values of this key in a YAML file, one a line.
fn values<'t>(yaml: &'t str, key: &str) -> Vec<&'t str> {
    let lines = yaml.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).collect()
}

#[test]
fn each_alert_is_tested_to_fire_and_not_to_fire_and_is_documented() {
    let page = read(&root().join("docs/operations.md"));
    for file in rule_files(".rules.yaml") {
        let tests = read(Path::new(&file.to_string_lossy().replace(".rules.", ".tests.")));
        let checks: Vec<&str> = tests.split("- eval_time: ").collect();
        for alert in values(&read(&file), "alert") {
            let of_alert = checks.iter().filter(|check| values(check, "alertname") == [alert]);
            let (firing, silent): (Vec<&str>, Vec<&str>) = of_alert.partition(|check| check.contains("exp_alerts:"));
            assert!(!firing.is_empty() && !silent.is_empty(), "{alert}: one test must see it fire, another one not");
            assert!(page.contains(&format!("| `{alert}` |")), "docs/operations.md has no line for {alert}");
        }
    }
}

/// The names of the samples in `docs/metrics.md`, which a test compares with the code, each with its labels.
fn samples() -> BTreeMap<String, BTreeSet<String>> {
    let page = read(&root().join("docs/metrics.md"));
    let (table, _) = page.split_once("## Values of labels").expect("the table of metrics");
    let mut samples = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let [_, name, kind, labels, ..] = row.split(" | ").flat_map(|cell| cell.split("| ")).collect::<Vec<_>>()[..]
        else {
            panic!("{row}")
        };
        let name = name.trim_matches('`').to_owned();
        let labels: BTreeSet<String> = labels
            .split(", ")
            .map(|label| label.trim_matches('`').to_owned())
            .filter(|label| !label.is_empty())
            .collect();
        if kind == "histogram" {
            let with_limit = labels.iter().cloned().chain(["le".to_owned()]).collect();
            samples.extend([(format!("{name}_sum"), labels.clone()), (format!("{name}_count"), labels)]);
            samples.insert(format!("{name}_bucket"), with_limit);
        } else {
            samples.insert(name, labels);
        }
    }
    assert!(samples.len() > 30, "{samples:?}");
    samples
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The metrics of the host in a text, each with the labels of its selector.
fn selectors(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_of_name) {
        let name = rest[start..].split(|c| !is_of_name(c)).next().unwrap_or_default();
        rest = &rest[start + name.len()..];
        if name.starts_with("mapper_host") || name.starts_with("process_") {
            let selector = rest.strip_prefix('{').and_then(|selector| selector.split('}').next()).unwrap_or_default();
            let labels = selector.split(',').filter_map(|matcher| matcher.split(['=', '!']).next());
            found.push((name, labels.map(str::trim).filter(|label| !label.is_empty()).collect()));
        }
    }
    found
}

/// All texts in the dashboard that are PromQL.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| queries(field, found));
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

fn dashboard() -> Value {
    let text = read(&monitoring().join("grafana/dashboards/mapper-host.json"));
    serde_json::from_str(&text).expect("the dashboard is JSON")
}

fn dashboard_queries() -> Vec<String> {
    let mut found = Vec::new();
    queries(&dashboard(), &mut found);
    assert!(found.len() > 20, "{found:?}");
    found
}

#[test]
fn each_metric_and_each_label_exists() {
    let samples = samples();
    let rules: Vec<String> =
        rule_files(".rules.yaml").iter().chain(&rule_files(".tests.yaml")).map(|file| read(file)).collect();
    let recorded: BTreeSet<&str> = rules.iter().flat_map(|file| values(file, "record")).collect();
    let variables = dashboard()["templating"].to_string().replace("\\\"", "\"");
    let texts = rules.iter().cloned().chain(dashboard_queries()).chain([variables]);
    let labels: BTreeSet<&str> = samples.values().flatten().map(String::as_str).chain(OF_PROMETHEUS).collect();
    let mut seen = 0;
    for text in texts {
        for (name, matched) in selectors(&text) {
            if recorded.contains(name) {
                continue;
            }
            let known = samples.get(name).unwrap_or_else(|| panic!("docs/metrics.md has no {name}: {text}"));
            for label in matched {
                assert!(known.contains(label) || OF_PROMETHEUS.contains(&label), "{name} has no label {label}: {text}");
            }
            seen += 1;
        }
        for group in text.split("by (").skip(1).filter_map(|rest| rest.split(')').next()) {
            for label in group.split(", ") {
                assert!(labels.contains(label), "no metric has the label {label}: {text}");
            }
        }
        for label in
            text.split("$labels.").skip(1).map(|rest| rest.split(|c| !is_of_name(c)).next().unwrap_or_default())
        {
            assert!(labels.contains(label), "no metric has the label {label}: {text}");
        }
    }
    assert!(seen > 50, "only {seen} metrics were found");
}

#[test]
fn queries_of_the_dashboard_are_valid() {
    let queries = dashboard_queries().into_iter().map(|query| {
        let query = query.replace("$__rate_interval", "1m").replace("$__interval", "1m");
        query.replace("$pipeline", ".*").replace("$instance", ".*")
    });
    let rules: Vec<Value> = queries
        .enumerate()
        .map(|(number, query)| json!({"record": format!("query:{number}"), "expr": query}))
        .collect();
    // JSON is YAML.
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("dashboard.yaml");
    fs::write(&file, groups.to_string()).expect("a file");
    promtool(&["check", "rules", "--lint=none"], &[file]);
}

#[test]
fn panels_of_the_dashboard_do_not_overlap_and_have_their_own_ids() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let at = |panel: &Value, key: &str| panel["gridPos"][key].as_u64().unwrap_or_else(|| panic!("{panel}"));
    for (index, panel) in panels.iter().enumerate() {
        assert!(at(panel, "x") + at(panel, "w") <= 24, "{panel}");
        for other in &panels[..index] {
            assert_ne!(panel["id"], other["id"], "{panel}");
            let apart = |from: &str, size: &str| {
                at(panel, from) >= at(other, from) + at(other, size)
                    || at(other, from) >= at(panel, from) + at(panel, size)
            };
            assert!(apart("x", "w") || apart("y", "h"), "{} covers {}", panel["title"], other["title"]);
        }
    }
}
