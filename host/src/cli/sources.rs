//! The sources of settings: a flag overrides a variable, which overrides the file, which overrides the default.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

use clap::ArgMatches;

use super::CliError;
use super::file::{Entry, File, PipelineTable};
use super::service_links;
use mapper_core::suggestion::closest;

use super::settings::{Setting, Standard, VARIABLE_PREFIX, all};
use crate::config::values::Read;
use mapper_state::files::folders::Folder;

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    File,
    Variable,
    Flag,
    /// A `[[pipeline]]` table of the file. It overrides flags, which are defaults for all pipelines.
    Table,
}

/// One value with its layer; a default has no layer.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) text: String,
    name: &'static str,
    layer: Option<Layer>,
    origin: String,
}

impl Given {
    /// Whether it is not the default.
    pub(super) fn explicit(&self) -> bool {
        self.layer.is_some()
    }

    /// Reads the text.
    ///
    /// # Errors
    /// The allowed values, with the source of the text.
    pub(super) fn read<T>(&self, reader: impl FnOnce(&str) -> Read<T>) -> Result<T, CliError> {
        if self.text.is_empty() {
            let unset = if self.layer == Some(Layer::Variable) { ", or unset it for the default" } else { "" };
            return Err(self.wrong(format!("{self}: it is empty; give it a value{unset}")));
        }
        reader(&self.text).map_err(|allowed| self.refuse(&allowed))
    }

    /// Reads a text that may be secret: no message shows it.
    ///
    /// # Errors
    /// The allowed values, with the source of the text.
    pub(super) fn read_secret<T>(&self, reader: impl FnOnce(&str) -> Read<T>) -> Result<T, CliError> {
        let refuse = |allowed| self.wrong(format!("{self}: the value, which may be secret, is not allowed: {allowed}"));
        if self.text.is_empty() { self.read(reader) } else { reader(&self.text).map_err(refuse) }
    }

    /// The items between commas.
    pub(super) fn split(&self) -> Vec<Self> {
        let item = |text: &str| Self { text: text.trim().to_owned(), origin: self.origin.clone(), ..*self };
        self.text.split(',').map(item).collect()
    }

    /// The error of the value.
    pub(super) fn refuse(&self, why: &str) -> CliError {
        self.wrong(format!("{self}: {:?} is not allowed: {why}", without_credentials(&self.text)))
    }

    fn wrong(&self, message: String) -> CliError {
        CliError::Setting { name: self.name, message }
    }
}

impl fmt::Display for Given {
    /// Its source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

/// The text without the credentials of a URL in it.
pub(super) fn without_credentials(text: &str) -> String {
    let parts = text.split(',').map(|part| {
        let start = part.find("://").map_or(0, |at| at + 3);
        match part[start..].rfind('@') {
            Some(at) => format!("{}…{}", &part[..start], &part[start + at..]),
            None => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

/// The environment, and the variables of the host in it.
pub(super) struct Environment {
    all: BTreeMap<String, OsString>,
    ours: BTreeMap<String, OsString>,
}

impl Environment {
    /// Selects the variables of the host.
    pub(super) fn new(variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>) -> Self {
        let (mut all, mut ours) = (BTreeMap::new(), BTreeMap::new());
        for (name, value) in variables {
            let (name, value): (_, OsString) = (name.into().to_string_lossy().into_owned(), value.into());
            all.insert(name.clone(), value.clone());
            if name.starts_with(VARIABLE_PREFIX) {
                ours.insert(name, value);
            }
        }
        Self { all, ours }
    }

    /// Any variable.
    pub(super) fn variable(&self, name: &str) -> Option<&OsString> {
        self.all.get(name)
    }

    /// A standard variable of OpenTelemetry. Its specification treats an empty variable as not set.
    pub(super) fn standard(&self, name: &str) -> Option<Given> {
        let text = self.variable(name)?.to_string_lossy().into_owned();
        let origin = format!("variable {name}");
        (!text.is_empty()).then_some(Given { text, name: "otlp-endpoint", layer: Some(Layer::Variable), origin })
    }

    /// The folder of the host for this purpose; `None` if the user has no home.
    pub(super) fn folder(&self, folder: Folder) -> Option<PathBuf> {
        folder.find(|name| self.variable(name).cloned())
    }

    /// # Errors
    /// If a variable of the host is unknown or not UTF-8.
    fn texts(&self) -> Result<BTreeMap<String, String>, CliError> {
        let mut texts = BTreeMap::new();
        for (name, value) in &self.ours {
            if all().all(|setting| setting.variable() != *name) {
                if service_links::is_one(name, &value.to_string_lossy()) {
                    continue;
                }
                let hint = closest(name, all().map(Setting::variable)).map_or_else(
                    || {
                        format!(
                            "; variables that start with {VARIABLE_PREFIX} are settings, see mapper-host run --help"
                        )
                    },
                    |name| format!("; did you mean {name}?"),
                );
                return Err(CliError::Wrong(format!("variable {name}: there is no such setting{hint}")));
            }
            let Some(text) = value.to_str() else {
                return Err(CliError::Wrong(format!("variable {name}: it is not UTF-8")));
            };
            texts.insert(name.clone(), text.to_owned());
        }
        Ok(texts)
    }
}

/// The settings of one command, or of one of its pipelines, from all sources.
#[derive(Clone)]
pub(super) struct Sources<'a> {
    settings: &'static [Setting],
    flags: &'a ArgMatches,
    variables: Rc<BTreeMap<String, String>>,
    file: Option<Rc<File>>,
    /// The number of the `[[pipeline]]` table that these settings are of.
    table: Option<usize>,
    /// Wrong settings. They are treated as not given, so that further mistakes are found.
    left_out: BTreeSet<&'static str>,
    pub(super) environment: &'a Environment,
}

impl<'a> Sources<'a> {
    /// Reads the file, if one is named.
    ///
    /// # Errors
    /// If a variable or a key of the file is unknown or of a wrong type.
    pub(super) fn new(
        settings: &'static [Setting],
        flags: &'a ArgMatches,
        environment: &'a Environment,
    ) -> Result<Self, CliError> {
        let (sources, mistakes) = Self::read_all(settings, flags, environment)?;
        mistakes.into_iter().next().map_or(Ok(sources), Err)
    }

    /// Reads the file, if one is named, and collects all unknown keys and wrong types.
    ///
    /// # Errors
    /// If a variable is unknown, or the file cannot be read.
    pub(super) fn read_all(
        settings: &'static [Setting],
        flags: &'a ArgMatches,
        environment: &'a Environment,
    ) -> Result<(Self, Vec<CliError>), CliError> {
        let variables = Rc::new(environment.texts()?);
        let left_out = BTreeSet::new();
        let mut sources = Self { settings, flags, variables, file: None, table: None, left_out, environment };
        let Some(path) = sources.find("config") else { return Ok((sources, Vec::new())) };
        path.read(|_| Ok(()))?;
        let (file, mistakes) = File::read(&path.text, &path.origin)?;
        sources.file = Some(Rc::new(file));
        Ok((sources, mistakes))
    }

    /// The file of settings, if one is named.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_deref()
    }

    /// The `[[pipeline]]` table that these settings are of.
    pub(super) fn table(&self) -> Option<&PipelineTable> {
        self.file()?.pipelines.get(self.table?)
    }

    /// The same with the settings of this `[[pipeline]]` table.
    pub(super) fn of_table(&self, table: usize) -> Self {
        Self { table: Some(table), ..self.clone() }
    }

    /// Leaves out a setting that is wrong. Returns whether it was not left out before.
    pub(super) fn leave_out(&mut self, name: &'static str) -> bool {
        self.left_out.insert(name)
    }

    /// Whether a setting is left out because it is wrong.
    pub(super) fn is_left_out(&self, name: &str) -> bool {
        self.left_out.contains(name)
    }

    /// A setting of this command.
    pub(super) fn setting(&self, name: &'static str) -> &'static Setting {
        let setting = self.settings.iter().find(|setting| setting.name == name);
        setting.unwrap_or_else(|| unreachable!("the table has no setting {name}"))
    }

    /// The layers that give a setting, the strongest first, with their source and value.
    pub(super) fn given(&self, setting: &'static Setting) -> impl Iterator<Item = (Layer, String, Entry)> + '_ {
        let name = setting.name;
        let table = self.table().and_then(|table| {
            let origin = format!("{}, pipeline {}, key {name}", self.file()?.path, table.title);
            Some((Layer::Table, origin, table.get(name)?.clone()))
        });
        // A command that checks a file has not all flags of the command that runs it.
        let flags = self
            .flags
            .try_get_many::<String>(name)
            .ok()
            .flatten()
            .map(|values| (Layer::Flag, format!("flag --{name}"), Entry::Many(values.cloned().collect())));
        let variable = setting.variable();
        let variable = self
            .variables
            .get(&variable)
            .map(|text| (Layer::Variable, format!("variable {variable}"), Entry::One(text.clone())));
        let file = self
            .file()
            .and_then(|file| Some((Layer::File, format!("{}, key {name}", file.path), file.get(name)?.clone())));
        let given = table.into_iter().chain(flags).chain(variable).chain(file);
        given.filter(move |_| !self.is_left_out(name))
    }

    /// A setting with one value; its default, if it has one that is a value.
    pub(super) fn find(&self, name: &'static str) -> Option<Given> {
        let setting = self.setting(name);
        let mut given = self.given(setting).filter_map(|(layer, origin, entry)| match entry {
            Entry::One(text) => Some(Given { text, name, layer: Some(layer), origin }),
            Entry::Many(texts) => Some(Given { text: texts.into_iter().next()?, name, layer: Some(layer), origin }),
            Entry::Pairs(_) => None,
        });
        given.next().or_else(|| match setting.standard {
            Standard::Value(text) => {
                Some(Given { text: text.to_owned(), name, layer: None, origin: format!("default of --{name}") })
            }
            Standard::Described(_) | Standard::Required | Standard::Empty => None,
        })
    }

    /// What a flag gives, whatever a `[[pipeline]]` table has.
    pub(super) fn flag(&self, name: &'static str) -> Option<Given> {
        let text = self.flags.try_get_one::<String>(name).ok().flatten()?.clone();
        Some(Given { text, name, layer: Some(Layer::Flag), origin: format!("flag --{name}") })
    }

    /// A setting with one value, read; `None` if it was not given and has no value as its default.
    ///
    /// # Errors
    /// See [`Given::read`].
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        reader: impl FnOnce(&str) -> Read<T>,
    ) -> Result<Option<T>, CliError> {
        self.find(name).map(|given| given.read(reader)).transpose()
    }

    /// A setting that has a value as its default, read.
    ///
    /// # Errors
    /// See [`Given::read`].
    pub(super) fn value<T>(&self, name: &'static str, reader: impl FnOnce(&str) -> Read<T>) -> Result<T, CliError> {
        self.present(name).read(reader)
    }

    /// A setting that has a value as its default.
    pub(super) fn present(&self, name: &'static str) -> Given {
        self.find(name).unwrap_or_else(|| unreachable!("--{name} has no value as its default"))
    }

    /// Asks for a setting that the pipeline of a table must be given, in the table or as a default of all.
    ///
    /// # Errors
    /// If it is not given.
    pub(super) fn demand(&self, name: &'static str, example: &str) -> Result<(), CliError> {
        if self.is_left_out(name) || self.find(name).is_some_and(|given| given.explicit()) {
            return Ok(());
        }
        let (file, table) = (self.file().map(|file| &*file.path), self.table().map(|table| &*table.title));
        let message = format!(
            "{}, pipeline {}, key {name}: it is missing. Give it, as {name} = \"{example}\", in the table or above all tables",
            file.unwrap_or_default(),
            table.unwrap_or_default()
        );
        Err(CliError::Setting { name, message })
    }

    /// A setting with several values: all values of the strongest layer that has any.
    pub(super) fn list(&self, name: &'static str) -> Vec<Given> {
        let strongest = self.given(self.setting(name)).next();
        match strongest {
            Some((_, _, Entry::One(_))) => self.texts(name).iter().flat_map(Given::split).collect(),
            _ => self.texts(name),
        }
    }

    /// The same, without a split at commas.
    pub(super) fn texts(&self, name: &'static str) -> Vec<Given> {
        let strongest = self.given(self.setting(name)).next();
        let Some((layer, origin, entry)) = strongest else { return Vec::new() };
        let texts = match entry {
            // An empty variable is an empty list.
            Entry::One(text) if text.trim().is_empty() => Vec::new(),
            Entry::One(text) => vec![text],
            Entry::Many(texts) => texts,
            Entry::Pairs(_) => Vec::new(),
        };
        texts.into_iter().map(|text| Given { text, name, layer: Some(layer), origin: origin.clone() }).collect()
    }
}
