//! Passes records on by a field of their value, as they are: to the byte, with key, headers and timestamp.

use std::collections::BTreeSet;

use mapper_sdk::{Output, Record, Settings, mapper};
use serde_json::Value;

mapper!(filter, configure = Filter::from_settings);

/// What is passed on.
#[derive(Debug)]
pub struct Filter {
    field: String,
    values: BTreeSet<String>,
    /// Whether records with these values are passed on, or all others.
    matching: bool,
    others: Others,
}

/// What becomes of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    Skip,
    /// In a compacted topic, a record that is not to be there any more must be deleted.
    Tombstone,
}

impl Filter {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first invalid setting, and the allowed values.
    pub fn from_settings(settings: &Settings) -> Result<Self, String> {
        settings.only(&["field", "values", "keep", "others"])?;
        let values = settings.required("values")?.split(',').map(|value| value.trim().to_owned()).collect();
        let one_of = |key: &str, known: [&'static str; 2]| {
            let given = settings.get(key).unwrap_or(known[0]);
            let index = known.iter().position(|known| *known == given);
            index.ok_or_else(|| format!("the setting '{key}' is '{given}'; it can be {} or {}", known[0], known[1]))
        };
        Ok(Self {
            field: settings.required("field")?.to_owned(),
            values,
            matching: one_of("keep", ["matching", "others"])? == 0,
            others: [Others::Skip, Others::Tombstone][one_of("others", ["skip", "tombstone"])?],
        })
    }
}

/// The mapper.
///
/// # Errors
/// If the value is not JSON. A missing field has the value `null`.
pub fn filter(filter: &mut Filter, record: &Record<'_>) -> Result<Option<Output>, serde_json::Error> {
    // A tombstone deletes its key; consumers that have the record need it.
    let Some(value) = record.value else { return Ok(Some(Output::keep())) };
    let value: Value = serde_json::from_slice(value)?;
    let found = filter.field.split('.').try_fold(&value, |value, name| value.get(name));
    let text = match found {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "null".to_owned(),
    };
    Ok(match (filter.values.contains(&text) == filter.matching, filter.others) {
        (true, _) => Some(Output::keep()),
        (false, Others::Tombstone) => Some(Output::tombstone()),
        (false, Others::Skip) => None,
    })
}
