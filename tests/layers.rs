//! The crates of the host depend on each other as `ARCHITECTURE.md` says, and on nothing above them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate with those of ours that it may depend on.
const LAYERS: [(&str, &[&str]); 17] = [
    ("mapper-core", &[]),
    ("mapper-api", &["mapper-core"]),
    ("mapper-audit", &["mapper-core", "mapper-api"]),
    ("mapper-terminal", &[]),
    ("mapper-visits", &[]),
    ("mapper-state", &["mapper-core"]),
    ("mapper-pipeline", &["mapper-core"]),
    ("mapper-kafka", &["mapper-core", "mapper-state", "mapper-pipeline"]),
    ("mapper-runtime", &["mapper-core", "mapper-state", "mapper-pipeline"]),
    ("mapper-dead-letters", &["mapper-core", "mapper-api"]),
    ("mapper-schemas", &[]),
    ("mapper-codec", &["mapper-core", "mapper-pipeline", "mapper-schemas"]),
    ("mapper-console", &["mapper-api", "mapper-terminal"]),
    ("mapper-telemetry", &["mapper-core", "mapper-pipeline"]),
    ("mapper-versions", &["mapper-core", "mapper-api", "mapper-state", "mapper-pipeline"]),
    ("mapper-author", &["mapper-core", "mapper-state", "mapper-terminal", "mapper-visits", "mapper-runtime"]),
    (
        "host",
        &[
            "mapper-core",
            "mapper-api",
            "mapper-audit",
            "mapper-terminal",
            "mapper-visits",
            "mapper-state",
            "mapper-pipeline",
            "mapper-kafka",
            "mapper-runtime",
            "mapper-telemetry",
            "mapper-versions",
            "mapper-author",
            "mapper-dead-letters",
            "mapper-console",
            "mapper-schemas",
            "mapper-codec",
        ],
    ),
];

/// The crates that may contain `unsafe`: the one that calls librdkafka, and the one that starts helper processes.
const WITH_UNSAFE: [&str; 2] = ["mapper-kafka", "mapper-runtime"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// The crates under `host/`: their folders and what they depend on, tests apart.
fn crates() -> BTreeMap<String, (PathBuf, BTreeSet<String>)> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(root());
    let output = command.output().expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let host = root().join("host");
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
        if !manifest.starts_with(&host) {
            continue;
        }
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        let names = dependencies
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| dependency["name"].as_str().expect("a name").to_owned());
        let dir = manifest.parent().expect("a folder").to_owned();
        crates.insert(package["name"].as_str().expect("a name").to_owned(), (dir, names.collect()));
    }
    crates
}

#[test]
fn crates_depend_only_on_the_layers_below_them() {
    let crates = crates();
    let known: BTreeMap<&str, &[&str]> = LAYERS.into_iter().collect();
    let found: Vec<&str> = crates.keys().map(String::as_str).collect();
    let listed: Vec<&str> = known.keys().copied().collect();
    assert_eq!(found, listed, "the crates under host/ are those of the table LAYERS in tests/layers.rs");
    for (name, (_, dependencies)) in &crates {
        let ours = dependencies.iter().filter(|dependency| crates.contains_key(*dependency));
        for dependency in ours {
            assert!(
                known[name.as_str()].contains(&dependency.as_str()),
                "{name} depends on {dependency}, which ARCHITECTURE.md does not allow"
            );
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_outside_of_kafka_and_runtime() {
    for (name, (dir, _)) in crates() {
        if WITH_UNSAFE.contains(&name.as_str()) {
            continue;
        }
        for file in ["src/lib.rs", "src/main.rs"] {
            let Ok(text) = std::fs::read_to_string(dir.join(file)) else { continue };
            assert!(text.contains("#![forbid(unsafe_code)]"), "{name}: {file} does not forbid unsafe code");
        }
    }
}
