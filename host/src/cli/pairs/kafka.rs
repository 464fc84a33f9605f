//! `--kafka`: properties of librdkafka by their canonical names.

use std::collections::BTreeMap;

use super::super::CliError;
use super::super::sources::Sources;
use super::{Layer, LayerForm, PairEntry, layers};
use crate::config::properties::{self, Form, Property};
use crate::config::{Pairs, values};
use mapper_core::suggestion::closest;

/// The setting that allows properties that run code.
const ALLOW_CODE: &str = "kafka-allow-code";

/// The properties of the user by their canonical names, each from the strongest layer that gives it under any alias.
///
/// # Errors
/// If an entry has no key or no `=`, is not a property, belongs to the host, runs code without permission, or contradicts another
/// of its layer.
pub(in crate::cli) fn kafka(sources: &Sources<'_>) -> Result<Pairs, CliError> {
    let may_run_code = sources.value(ALLOW_CODE, values::switch)?;
    let layers = layers(sources, "kafka")?;
    let has_interceptors = may_run_code
        && layers.iter().any(|layer| layer.entries.iter().any(|entry| entry.key == "plugin.library.paths"));
    let mut merged: BTreeMap<String, String> = BTreeMap::new();
    for layer in &layers {
        let mut own: BTreeMap<String, (&PairEntry, &str)> = BTreeMap::new();
        for entry in &layer.entries {
            let (name, value) = match properties::find(&entry.key) {
                Some(property) => (property.name.to_owned(), check(layer, entry, property, may_run_code)?),
                // A loaded library may have its own properties.
                None if has_interceptors => (entry.key.clone(), entry.value.as_str()),
                None => return Err(unknown(layer, entry)),
            };
            if let Some((first, other)) = own.insert(name, (entry, value)) {
                if first.key == entry.key {
                    return Err(layer.wrong(&format!("{} is given twice", entry.key)));
                }
                if other != value {
                    return Err(layer.wrong(&format!(
                        "{} and {} are names of one property, and are given different values; give one of them",
                        first.key, entry.key
                    )));
                }
            }
        }
        for (name, (_, value)) in own {
            // The strongest came first.
            merged.entry(name).or_insert_with(|| value.to_owned());
        }
    }
    Ok(Pairs(merged.into_iter().collect()))
}

/// Returns the value without surrounding blanks.
fn check<'e>(layer: &Layer, entry: &'e PairEntry, property: Property, may_run_code: bool) -> Result<&'e str, CliError> {
    let key = &entry.key;
    if let Some(reason) = property.owned() {
        return Err(layer.wrong(&format!("{key} belongs to the host: {reason}")));
    }
    if property.form == Form::Callback {
        return Err(layer.wrong(&format!("{key} is not allowed: it is a function or a pointer and has no text form")));
    }
    if let Some(how) = property.runs_code(&entry.value).filter(|_| !may_run_code) {
        return Err(layer.wrong(&format!("{key} is not allowed: {how}; if you trust it, give --{ALLOW_CODE}, too")));
    }
    Ok(property.trimmed(&entry.value))
}

fn unknown(layer: &Layer, entry: &PairEntry) -> CliError {
    let key = &entry.key;
    // It is closer to a property than a part of a secret would be by chance.
    if let Some(name) = closest(&key.to_lowercase(), properties::names().map(str::to_owned)) {
        return layer.wrong(&format!("{key} is not a property of librdkafka; did you mean {name}?"));
    }
    let is_name = |c: char| c.is_ascii_lowercase() || "._-".contains(c);
    if layer.form == LayerForm::Separate && key.chars().all(is_name) {
        return layer.wrong(&format!("{key} is not a property of librdkafka; its CONFIGURATION.md lists them"));
    }
    layer.wrong(&format!(
        "entry {} has no property of librdkafka before its '='; it is not shown, as it may be a part of a secret{}",
        entry.number,
        layer.form.hint()
    ))
}
