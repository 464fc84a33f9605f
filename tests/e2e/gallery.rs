//! The plugins of `plugins/`: each passes its cases, and together they use every part of the contract.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::author::{ended, in_dir, pipe, run};

/// Rust projects with cases; the SDK is none, and other languages have tests of their own.
fn gallery() -> Vec<PathBuf> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let entries = std::fs::read_dir(plugins).expect("the plugins").map(|entry| entry.expect("an entry").path());
    let mut projects: Vec<_> =
        entries.filter(|dir| dir.join("Cargo.toml").is_file() && dir.join("cases.jsonl").is_file()).collect();
    projects.sort();
    projects
}

#[test]
fn every_gallery_plugin_passes_its_cases_and_has_a_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let projects = gallery();
    assert!(projects.len() >= 8, "{projects:?}");
    for project in &projects {
        let name = project.file_name().expect("a name").to_string_lossy().into_owned();
        let plugin = harness::plugins::build(crate::HOST, &format!("plugins/{name}")).display().to_string();
        let cases = project.join("cases.jsonl").display().to_string();
        let (code, out, err) = run(dir.path(), &["test", &plugin, "--cases", &cases]);
        assert_eq!(code, Some(0), "{name}: {out}{err}");
        if name != "reduce_visit" {
            let page = std::fs::read_to_string(project.join("README.md")).expect("a page");
            assert!(page.starts_with(&format!("# {name}\n")) && page.lines().count() <= 40, "{name}");
        }
    }
}

#[test]
fn gallery_cases_use_every_part_of_the_contract() {
    let lines = gallery().into_iter().flat_map(|project| {
        let text = std::fs::read_to_string(project.join("cases.jsonl")).expect("cases");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>()
    });
    let cases: Vec<Value> = lines.collect();
    let some = |what: &str, is: &dyn Fn(&Value) -> bool| assert!(cases.iter().any(is), "no case has {what}");
    let output = |case: &Value| case["output"].clone();
    some("a skipped record", &|case| case["skipped"] == true);
    some("an error", &|case| case["error"].is_string());
    some("several outputs", &|case| case["outputs"].as_array().is_some_and(|outputs| outputs.len() > 1));
    some("a tombstone in", &|case| case["input"].get("value").is_some_and(Value::is_null));
    some("a tombstone made", &|case| output(case)["value"].is_null() && case["input"]["value"].is_object());
    some("a topic", &|case| output(case)["topic"].is_string());
    some("a key of its own", &|case| output(case)["key"].is_string() && output(case)["key"] != case["input"]["key"]);
    some("a key taken away", &|case| case["input"]["key"].is_string() && output(case).get("key") == Some(&Value::Null));
    some("headers kept", &|case| {
        case["input"]["headers"].is_array() && output(case)["headers"] == case["input"]["headers"]
    });
    some("headers of its own", &|case| {
        output(case)["headers"].is_array() && output(case)["headers"] != case["input"]["headers"]
    });
    some("a header of null", &|case| case["input"]["headers"].to_string().contains(",null]"));
    some("a timestamp of its own", &|case| {
        output(case)["timestamp_ms"].is_number() && output(case)["timestamp_ms"] != case["input"]["timestamp_ms"]
    });
    some("what is not UTF-8", &|case| case["input"]["value_base64"].is_string());
    some("settings", &|case| case["settings"].is_object());
}

/// Parts that no case can express: rejected settings, a granted variable, a line in the log.
#[test]
fn contract_parts_outside_of_the_gallery_are_used() {
    let dir = tempfile::tempdir().expect("a folder");
    let plugin = |name: &str| harness::plugins::build(crate::HOST, &format!("plugins/{name}")).display().to_string();
    let (code, _, err) = run(dir.path(), &["check", &plugin("route_by_field"), "--set", "strict=perhaps"]);
    assert!(code == Some(3), "{err}");
    let redact = plugin("redact");
    let hashing = ["map", &redact, "--set", "hash=user", "visits.jsonl"];
    std::fs::write(dir.path().join("visits.jsonl"), "{\"user\":\"me\"}\n").expect("a file");
    let map = |args: &[&str]| {
        ended(in_dir(dir.path(), args).env("REDACT_SECRET", "s").output().expect("the host can be run"))
    };
    let (code, _, err) = map(&hashing);
    assert!(code == Some(3) && err.contains("there is no secret to hash with"), "{err}");
    let (code, out, err) = map(&[&hashing[..], &["--allow-env", "REDACT_SECRET"]].concat());
    assert_eq!(code, Some(0), "{err}");
    let user: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(user["user"].as_str().map(str::len), Some(64), "{out}");
    let visit = b"{\"context\":{\"referral\":\"Gopher\"}}\n";
    let (code, _, err) = pipe(dir.path(), &["map", &plugin("referral")], visit);
    assert!(code == Some(0) && err.contains("unknown referral: Gopher"), "{err}");
}
