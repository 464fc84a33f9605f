//! Settings of keys and values: `--set` and `--kafka`. Messages never show a value, because it may be a password. They show a key only if
//! it cannot be a part of one: a secret with a ';' or a line break is split into entries.

mod in_force;
mod kafka;

use std::collections::BTreeMap;

use super::CliError;
use super::file::Entry;
use super::settings::Kind;
use super::sources::Sources;
use crate::config::Pairs;

pub(super) use in_force::in_force;
pub(super) use kafka::kafka;

/// What the message about a bad entry of a one-line variable ends with.
const SEPARATOR_HINT: &str =
    "; if a value has a ';' in it, put each entry on a line of its own, or use the file given with --config";

/// The same for a variable of several lines.
const LINES_HINT: &str = "; a value of several lines goes into the file given with --config";

/// The entries that one flag, variable or file gave.
struct Layer {
    /// The name of the setting.
    name: &'static str,
    origin: String,
    entries: Vec<PairEntry>,
    form: LayerForm,
}

/// How the entries were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LayerForm {
    /// Each for itself, as flags and the file have them: a key is what its author wrote as one.
    Separate,
    /// In the lines of a variable: a value of several lines may have fallen apart.
    Lines,
    /// In the one line of a variable, between ';': a value may have fallen apart.
    OneLine,
}

impl LayerForm {
    /// How to write a value that has fallen apart, if one may have.
    fn hint(self) -> &'static str {
        match self {
            Self::Separate => "",
            Self::Lines => LINES_HINT,
            Self::OneLine => SEPARATOR_HINT,
        }
    }
}

struct PairEntry {
    /// Its number, counted from 1.
    number: usize,
    key: String,
    value: String,
}

impl Layer {
    /// # Errors
    /// When an entry has no key or no `=`.
    fn read(name: &'static str, origin: String, given: Entry) -> Result<Self, CliError> {
        let (form, entries) = match given {
            Entry::Pairs(pairs) => {
                let numbered = pairs.into_iter().enumerate();
                let entries = numbered.map(|(index, (key, value))| PairEntry {
                    number: index + 1,
                    key: key.trim().to_owned(),
                    value,
                });
                (LayerForm::Separate, Ok(entries.collect()))
            }
            Entry::Many(texts) => (LayerForm::Separate, split(texts.iter().map(String::as_str))),
            // Lines, if there are any: then a value may have a ';' in it.
            Entry::One(text) if text.contains('\n') => (LayerForm::Lines, split(text.lines())),
            Entry::One(text) => (LayerForm::OneLine, split(text.split(';'))),
        };
        let entries = entries
            .map_err(|number| format!("{origin}: entry {number} is not KEY=VALUE{}", form.hint()))
            .map_err(|message| CliError::Setting { name, message })?;
        Ok(Self { name, origin, entries, form })
    }

    fn wrong(&self, what: &str) -> CliError {
        CliError::Setting { name: self.name, message: format!("{}: {what}", self.origin) }
    }
}

/// The entries that are not blank, or the number of the first that is not KEY=VALUE.
fn split<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Vec<PairEntry>, usize> {
    let numbered = texts.enumerate().map(|(index, text)| (index + 1, text));
    let entries =
        numbered.filter(|(_, text)| !text.trim().is_empty()).map(|(number, text)| match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(PairEntry { number, key: key.trim().to_owned(), value: value.to_owned() })
            }
            _ => Err(number),
        });
    entries.collect()
}

/// The layers of a setting, the strongest first.
fn layers(sources: &Sources<'_>, name: &'static str) -> Result<Vec<Layer>, CliError> {
    let setting = sources.setting(name);
    debug_assert_eq!(setting.kind, Kind::Pairs);
    sources.given(setting).map(|(_, origin, entry)| Layer::read(setting.name, origin, entry)).collect()
}

/// The configuration of the plugin: each key from the strongest layer that gives it.
///
/// # Errors
/// When an entry has no key or no `=`, or is given twice by the same layer.
pub(super) fn plugin(sources: &Sources<'_>) -> Result<Pairs, CliError> {
    let mut merged = BTreeMap::new();
    for layer in layers(sources, "set")? {
        let mut own: BTreeMap<&str, &PairEntry> = BTreeMap::new();
        for entry in &layer.entries {
            let Some(first) = own.insert(&entry.key, entry) else { continue };
            return Err(layer.wrong(&match layer.form {
                LayerForm::Separate => format!("{} is given twice", entry.key),
                form => {
                    format!("entries {} and {} have the same key{}", first.number, entry.number, form.hint())
                }
            }));
        }
        for (key, entry) in own {
            // The strongest came first.
            merged.entry(key.to_owned()).or_insert_with(|| entry.value.clone());
        }
    }
    Ok(Pairs(merged.into_iter().collect()))
}
