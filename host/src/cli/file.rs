//! The optional settings file in TOML.

use std::collections::BTreeMap;
use std::path::Path;

use mapper_core::suggestion::closest;
use toml::{Table, Value};

use super::CliError;
use super::settings::{Kind, OF_PROCESS, Setting, all, of_pipeline};
use mapper_state::files::{self, Limit};

/// All settings together take some KiB.
const LIMIT: Limit = Limit::new("a settings file", 1 << 20);

/// The key of the tables of pipelines.
const PIPELINE: &str = "pipeline";

/// The value of a key, as the text of a flag.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    One(String),
    Many(Vec<String>),
    Pairs(Vec<(String, String)>),
}

/// The tables of a file. All keys are known and of the right type; the values are not checked yet.
#[derive(Debug, Default)]
pub(super) struct File {
    /// The path as the user gave it.
    pub(super) path: String,
    /// The keys above the tables.
    entries: BTreeMap<&'static str, Entry>,
    /// The `[[pipeline]]` tables, in the order of the file.
    pub(super) pipelines: Vec<PipelineTable>,
}

/// A `[[pipeline]]` table.
#[derive(Debug)]
pub(super) struct PipelineTable {
    /// Its name, or its number if it has none.
    pub(super) title: String,
    /// Its key `name`.
    pub(super) name: Option<String>,
    entries: BTreeMap<&'static str, Entry>,
}

impl PipelineTable {
    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }
}

impl File {
    /// Reads the file and collects all keys that are unknown or of a wrong type. `named_by` is the flag or variable that names the file.
    ///
    /// # Errors
    /// If it cannot be read, or is not TOML.
    pub(super) fn read(path: &str, named_by: &str) -> Result<(Self, Vec<CliError>), CliError> {
        let text = files::read_text(Path::new(path), LIMIT)
            .map_err(|error| CliError::Wrong(format!("{named_by}: the file {path} cannot be read: {error}")))?;
        Self::parse(path, &text)
    }

    fn parse(path: &str, text: &str) -> Result<(Self, Vec<CliError>), CliError> {
        // The message of a TOML error shows the line, which may contain a password. The line number is enough.
        let mut table: Table = toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            CliError::Wrong(format!("{path}, line {line}: not TOML: {}", error.message()))
        })?;
        let mut mistakes = Vec::new();
        let pipelines = match table.remove(PIPELINE) {
            None => Vec::new(),
            Some(Value::Array(tables)) if tables.iter().all(Value::is_table) => tables,
            Some(other) => {
                let is = other.type_str();
                mistakes.push(CliError::Wrong(format!(
                    "{path}, key {PIPELINE}: it must be a list of tables, each begun with [[{PIPELINE}]], but is of the type {is}"
                )));
                Vec::new()
            }
        };
        let entries = entries(path, table, all().filter(|setting| setting.name != "config"), &mut mistakes);
        let pipelines = (1..).zip(pipelines).filter_map(|(number, table)| match table {
            Value::Table(table) => Some(pipeline(path, number, table, &mut mistakes)),
            _ => None,
        });
        let pipelines = pipelines.collect();
        Ok((Self { path: path.to_owned(), entries, pipelines }, mistakes))
    }

    /// The value of a key above the tables.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }
}

fn pipeline(path: &str, number: usize, mut table: Table, mistakes: &mut Vec<CliError>) -> PipelineTable {
    let name = match table.remove("name") {
        Some(Value::String(name)) => Some(name),
        Some(other) => {
            let is = other.type_str();
            mistakes.push(CliError::Wrong(format!(
                "{path}, pipeline {number}, key name: it must be a string, as name = \"…\", but is of the type {is}"
            )));
            Some(format!("pipeline-{number}"))
        }
        None => None,
    };
    let title = name.clone().unwrap_or_else(|| number.to_string());
    let origin = format!("{path}, pipeline {title}");
    for key in table.keys().filter(|key| is_of_process(key)) {
        mistakes.push(CliError::Wrong(format!(
            "{origin}, key {key}: it is a setting of the process, not of a pipeline. Put it above the tables"
        )));
    }
    table.retain(|key, _| !is_of_process(key));
    let entries = entries(&origin, table, of_pipeline(), mistakes);
    PipelineTable { title, name, entries }
}

fn is_of_process(key: &str) -> bool {
    OF_PROCESS.contains(&key)
}

/// The entries of a table that are among these settings. The others are mistakes.
fn entries(
    origin: &str,
    table: Table,
    known: impl Iterator<Item = &'static Setting> + Clone,
    mistakes: &mut Vec<CliError>,
) -> BTreeMap<&'static str, Entry> {
    let mut entries = BTreeMap::new();
    for (key, value) in table {
        let Some(setting) = known.clone().find(|setting| setting.name == key) else {
            mistakes.push(unknown(origin, &key, known.clone()));
            continue;
        };
        match entry(setting, value) {
            Ok(entry) => _ = entries.insert(setting.name, entry),
            Err(why) => mistakes.push(CliError::Wrong(format!("{origin}, key {key}: {why}"))),
        }
    }
    entries
}

fn unknown(origin: &str, key: &str, known: impl Iterator<Item = &'static Setting>) -> CliError {
    if key == "config" {
        return CliError::Wrong(format!("{origin}, key config: a settings file cannot name another one"));
    }
    let hint = closest(key, known.map(|setting| setting.name.to_owned())).map_or_else(
        || {
            "; the keys are the names of the flags, see mapper-host run --help and mapper-host generate --help"
                .to_owned()
        },
        |name| format!("; did you mean {name}?"),
    );
    CliError::Wrong(format!("{origin}, key {key}: there is no such setting{hint}"))
}

fn entry(setting: &Setting, value: Value) -> Result<Entry, String> {
    let is = value.type_str();
    let wrong = || Err(format!("it must be {}, but is of the type {is}", wanted(setting)));
    match (setting.kind, value) {
        (Kind::Text | Kind::Duration | Kind::Size | Kind::Topics, Value::String(text)) => Ok(Entry::One(text)),
        (Kind::Whole | Kind::Size | Kind::Number, Value::Integer(number)) => Ok(Entry::One(number.to_string())),
        (Kind::Number, Value::Float(number)) => Ok(Entry::One(number.to_string())),
        (Kind::Switch, Value::Boolean(on)) => Ok(Entry::One(on.to_string())),
        (Kind::List | Kind::Topics, Value::Array(items)) => {
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

/// `sasl.username = "me"` without quotes around the key is a nested table in TOML, but the author means a property.
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
        Kind::Topics => format!("an array of strings or a string, as {name} = [\"…\", \"…\"] or {name} = \"^…\""),
        Kind::Pairs => format!("a table, as [{name}]"),
    }
}
