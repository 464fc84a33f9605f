//! Generates `docs/metrics.md` from the rendered metrics.

use std::collections::BTreeSet;

use super::tests;

const HEAD: &str = "# Metrics

`GET /metrics` answers in the text format of Prometheus 0.0.4, or of OpenMetrics 1.0.0 if `Accept` asks for it. Records, outputs and dead
letters count when they are committed. The `process_` metrics other than the start time exist on Linux only.

Lag is a difference of offsets. It includes the markers that transactions leave in the input topic.
";

/// Labels whose values are a fixed list.
const LISTED: [&str; 6] = ["kind", "reason", "outcome", "step", "by", "state"];

/// A family of metrics as the text describes it.
#[derive(Default)]
struct Family {
    name: String,
    help: String,
    kind: String,
    labels: BTreeSet<String>,
    /// Label and value, for labels whose values are listed.
    values: Vec<(String, String)>,
}

impl Family {
    /// The name as Prometheus shows it.
    fn full_name(&self) -> String {
        match &*self.kind {
            "counter" => format!("{}_total", self.name),
            "info" => format!("{}_info", self.name),
            _ => self.name.clone(),
        }
    }
}

fn families(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap_or((help, ""));
            families.push(Family {
                name: name.to_owned(),
                help: help.trim_end_matches('.').to_owned(),
                ..Family::default()
            });
        } else if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            families.last_mut().expect("HELP comes first").kind = kind.to_owned();
        } else if let Some((_, labels)) = line.split_once('{') {
            let family = families.last_mut().expect("HELP comes first");
            for (label, value) in labels.split("\",").filter_map(|label| label.split_once("=\"")) {
                let value = value.split('"').next().unwrap_or_default().to_owned();
                // The label of buckets is the same for all histograms.
                if label != "le" {
                    family.labels.insert(label.to_owned());
                }
                if LISTED.contains(&label) && !family.values.contains(&(label.to_owned(), value.clone())) {
                    family.values.push((label.to_owned(), value));
                }
            }
        }
    }
    families
}

fn metrics_page() -> String {
    let families = families(&tests::with_every_metric());
    let mut page = HEAD.to_owned() + "\n| metric | type | labels | meaning |\n|---|---|---|---|\n";
    for family in &families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, labels) = (family.full_name(), labels.join(", "));
        page += &format!("| `{name}` | {} | {labels} | {} |\n", family.kind, family.help);
    }
    page += "\n## Values of labels\n\n| metric | label | values |\n|---|---|---|\n";
    for family in families.iter().filter(|family| !family.values.is_empty()) {
        for label in LISTED.iter().filter(|label| family.labels.contains(**label)) {
            let values = family.values.iter().filter(|(name, _)| name == label).map(|(_, value)| format!("`{value}`"));
            let values = values.collect::<Vec<_>>().join(", ");
            page += &format!("| `{}` | `{label}` | {values} |\n", family.full_name());
        }
    }
    page
}

#[test]
fn metrics_page_follows_from_the_metrics() {
    harness::pages::check("metrics.md", &metrics_page());
}

#[test]
fn every_family_of_the_metrics_page_has_a_sample() {
    let text = tests::with_every_metric();
    for family in families(&text) {
        let samples = text.lines().filter(|line| line.starts_with(&family.name)).count();
        assert!(samples > 0, "{}: the page can not show its labels", family.name);
    }
}
