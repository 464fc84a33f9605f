//! The entries of `--set` and `--kafka` in force, without what may be secret.

use std::collections::BTreeSet;

use mapper_api::settings::SettingInForce;

use super::super::CliError;
use super::super::in_force::in_force as from_source;
use super::super::settings::Setting;
use super::super::sources::Sources;
use super::{Layer, LayerForm, PairEntry};
use crate::config::properties;

/// Each entry from the strongest layer that gives it.
///
/// # Errors
/// If an entry has no key or no `=`.
pub(in crate::cli) fn in_force(
    sources: &Sources<'_>,
    setting: &'static Setting,
) -> Result<Vec<SettingInForce>, CliError> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for (source, origin, given) in sources.given(setting) {
        let layer = Layer::read(setting.name, origin.clone(), given)?;
        for entry in &layer.entries {
            let shown = shown(setting.name, layer.form, entry);
            // The strongest came first.
            if seen.insert(shown.name.clone()) {
                let is_hidden = shown.value.is_none();
                let key = shown.is_key.then_some(shown.name);
                let from = Some((source, origin.clone()));
                all.push(SettingInForce { key, value: shown.value, is_hidden, ..from_source(setting, from) });
            }
        }
    }
    Ok(all)
}

/// What may be shown of an entry.
struct Shown {
    name: String,
    /// Whether the name is the key of an entry, and not a part of a secret that has fallen apart.
    is_key: bool,
    value: Option<String>,
}

fn shown(setting: &str, form: LayerForm, entry: &PairEntry) -> Shown {
    let property = properties::find(&entry.key).filter(|_| setting == "kafka");
    let name = property.map_or_else(|| entry.key.clone(), |property| property.name.to_owned());
    let value = property.map(|property| (property, property.trimmed(&entry.value)));
    let value = value.filter(|(property, value)| property.shows(value)).map(|(_, value)| value.to_owned());
    Shown { name, is_key: property.is_some() || form == LayerForm::Separate, value }
}
