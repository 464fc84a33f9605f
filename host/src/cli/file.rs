//! The optional TOML file of settings.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::CliError;
use mapper_core::near::near;

use super::settings::{Kind, Setting, all};
use crate::files::{self, Limit};

/// All settings together take some KiB.
const LIMIT: Limit = Limit::new("a file of settings", 1 << 20);

/// What a key of the file holds, as the text that a flag would have.
#[derive(Debug)]
pub(super) enum Entry {
    One(String),
    Many(Vec<String>),
    Pairs(Vec<(String, String)>),
}

/// The file, each of its keys known and of the right type. What the values mean is not asked yet.
#[derive(Debug)]
pub(super) struct File {
    /// As the user named it.
    pub(super) path: String,
    entries: BTreeMap<&'static str, Entry>,
}

impl File {
    /// Reads the file. `named_by` says who asked for it.
    ///
    /// # Errors
    /// When it can't be read, is not TOML, or has a key that is unknown or of a wrong type.
    pub(super) fn read(path: &str, named_by: &str) -> Result<Self, CliError> {
        let text = files::read_text(Path::new(path), LIMIT)
            .map_err(|error| CliError::Wrong(format!("{named_by}: the file {path} can't be read: {error}")))?;
        Self::parse(path, &text)
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// See [`File::read`].
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, CliError> {
        // The message of a TOML error shows the line, of which a password may be part; its place says enough.
        let table: Table = toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            CliError::Wrong(format!("{path}, line {line}: not TOML: {}", error.message()))
        })?;
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let Some(setting) = all().find(|setting| setting.name == key && key != "config") else {
                return Err(unknown(path, &key));
            };
            let entry = entry(setting, value).map_err(|why| CliError::Wrong(format!("{path}, key {key}: {why}")))?;
            entries.insert(setting.name, entry);
        }
        Ok(Self { path: path.to_owned(), entries })
    }

    /// What a key holds.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }
}

fn unknown(path: &str, key: &str) -> CliError {
    if key == "config" {
        return CliError::Wrong(format!("{path}, key config: a file can't name another one"));
    }
    let names = all().map(|setting| setting.name.to_owned()).filter(|name| name != "config");
    let hint = near(key, names).map_or_else(
        || {
            "; the keys are the names of the flags, see mapper-host run --help and mapper-host generate --help"
                .to_owned()
        },
        |name| format!("; did you mean {name}?"),
    );
    CliError::Wrong(format!("{path}, key {key}: there is no such setting{hint}"))
}

fn entry(setting: &Setting, value: Value) -> Result<Entry, String> {
    let is = value.type_str();
    let wrong = || Err(format!("it must be {}, but is of the type {is}", wanted(setting)));
    match (setting.kind, value) {
        (Kind::Text | Kind::Duration | Kind::Size, Value::String(text)) => Ok(Entry::One(text)),
        (Kind::Whole | Kind::Size | Kind::Number, Value::Integer(number)) => Ok(Entry::One(number.to_string())),
        (Kind::Number, Value::Float(number)) => Ok(Entry::One(number.to_string())),
        (Kind::Switch, Value::Boolean(on)) => Ok(Entry::One(on.to_string())),
        (Kind::List, Value::Array(items)) => {
            let text = |item| if let Value::String(text) = item { Some(text) } else { None };
            items.into_iter().map(text).collect::<Option<_>>().map_or_else(wrong, |items| Ok(Entry::Many(items)))
        }
        (Kind::Pairs, Value::Table(table)) => {
            let mut pairs = Vec::new();
            flatten("", table, &mut pairs)?;
            Ok(Entry::Pairs(pairs))
        }
        _ => wrong(),
    }
}

/// `sasl.username = "me"` without quotes around the key is a table in a table to TOML, but a property to its author.
fn flatten(prefix: &str, table: Table, pairs: &mut Vec<(String, String)>) -> Result<(), String> {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(on) => on.to_string(),
            Value::Table(inner) => {
                flatten(&format!("{key}."), inner, pairs)?;
                continue;
            }
            Value::Array(_) | Value::Datetime(_) => {
                return Err(format!(
                    "{key} must be a string, a number or a bool, but is of the type {}",
                    value.type_str()
                ));
            }
        };
        pairs.push((key, text));
    }
    Ok(())
}

fn wanted(setting: &Setting) -> String {
    let name = setting.name;
    match setting.kind {
        Kind::Text => format!("a string, as {name} = \"…\""),
        Kind::Duration => format!("a string with a unit, as {name} = \"100ms\""),
        Kind::Whole => format!("a whole number, as {name} = 2"),
        Kind::Number => format!("a number, as {name} = 0.5"),
        Kind::Size => format!("a string or a whole number of bytes, as {name} = \"16MiB\""),
        Kind::Switch => format!("a bool, as {name} = true"),
        Kind::List => format!("an array of strings, as {name} = [\"…\"]"),
        Kind::Pairs => format!("a table, as [{name}]"),
    }
}
