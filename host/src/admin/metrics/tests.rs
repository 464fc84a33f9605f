//! The samples of the registry, and the format that a client gets.

use axum::http::header::ACCEPT;
use mapper_core::identity::{Digest, Identity};

use super::*;

#[test]
fn openmetrics_is_only_for_clients_that_accept_it() {
    let accepted = |accept: &str| accepted_format(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]));
    assert_eq!(accepted("application/openmetrics-text; version=1.0.0"), Format::OpenMetrics);
    for accept in ["text/plain", "*/*", "text/html", "application/openmetrics-text; version=9"] {
        assert_eq!(accepted(accept), Format::Prometheus, "{accept}");
    }
    assert_eq!(accepted_format(&HeaderMap::new()), Format::Prometheus);
}

#[test]
fn sample_has_the_state_of_the_pipeline_and_an_escaped_name_of_the_plugin() {
    let entry = Entry::new("p", 3);
    entry.telemetry.about.set_plugin(
        Identity {
            name: "red\u{1b}[31m".into(),
            version: "1.0".into(),
            digest: Digest::hash_bytes(b"plugin"),
            bytes: 7,
            contract: "1.0.0",
        },
        "p.wasm".into(),
    );
    entry.telemetry.health.not_ready("kafka", "gone");
    let sample = sample(&entry);
    assert_eq!((sample.name.as_str(), sample.generation, sample.is_ready), ("p", 3, false));
    let plugin = sample.plugin.unwrap();
    assert!(plugin.name.starts_with("red") && !plugin.name.contains('\u{1b}'), "{}", plugin.name);
    assert_eq!(
        sample.swaps.by_outcome.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["swapped", "unchanged", "tried", "switching", "refused"]
    );
}

#[test]
fn file_of_settings_that_was_not_applied_is_a_metric() {
    let registry = PipelineRegistry::default();
    assert!(render(&registry).unwrap().contains("mapper_host_config_error 0"));
    registry.set_config_error(Some("no such topic".to_owned()));
    assert!(render(&registry).unwrap().contains("mapper_host_config_error 1"));
}
