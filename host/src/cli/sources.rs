//! Where settings come from: a flag beats a variable, which beats the file, which beats the default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::ArgMatches;

use super::CliError;
use super::file::{Entry, File};
use super::service_links;
use mapper_core::near::near;

use super::settings::{Setting, Standard, VARIABLE_PREFIX, all};
use crate::config::values::Read;
use crate::files::folders::Folder;

/// Who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    File,
    Variable,
    Flag,
}

/// One value, and who gave it; no layer: nobody, it is the default.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) text: String,
    layer: Option<Layer>,
    origin: String,
}

impl Given {
    /// Whether somebody asked for it.
    pub(super) fn explicit(&self) -> bool {
        self.layer.is_some()
    }

    /// Reads the text.
    ///
    /// # Errors
    /// What is allowed, with where the text came from.
    pub(super) fn read<T>(&self, reader: impl FnOnce(&str) -> Read<T>) -> Result<T, CliError> {
        if self.text.is_empty() {
            let unset = if self.layer == Some(Layer::Variable) { ", or unset it for the default" } else { "" };
            return Err(CliError::Wrong(format!("{self}: it is empty; give it a value{unset}")));
        }
        reader(&self.text).map_err(|allowed| self.refuse(&allowed))
    }

    /// Why the value can't be.
    pub(super) fn refuse(&self, why: &str) -> CliError {
        CliError::Wrong(format!("{self}: {:?} is not allowed: {why}", without_credentials(&self.text)))
    }
}

impl fmt::Display for Given {
    /// Where it came from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

/// A text without what stands between "//" and "@" in a URL of it.
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

/// An environment, and our variables of it.
pub(super) struct Environment {
    all: BTreeMap<String, OsString>,
    ours: BTreeMap<String, OsString>,
}

impl Environment {
    /// Picks what concerns us.
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

    /// A variable that OpenTelemetry standardises. One that is empty counts as not set, as its specification says.
    pub(super) fn standard(&self, name: &str) -> Option<Given> {
        let text = self.variable(name)?.to_string_lossy().into_owned();
        let origin = format!("variable {name}");
        (!text.is_empty()).then_some(Given { text, layer: Some(Layer::Variable), origin })
    }

    /// The host's own directory for this purpose; `None` if this user has no home.
    pub(super) fn folder(&self, folder: Folder) -> Option<PathBuf> {
        folder.find(|name| self.variable(name).cloned())
    }

    /// # Errors
    /// When one of our variables is not known, or is not text.
    fn texts(&self) -> Result<BTreeMap<String, String>, CliError> {
        let mut texts = BTreeMap::new();
        for (name, value) in &self.ours {
            if all().all(|setting| setting.variable() != *name) {
                if service_links::is_one(name, &value.to_string_lossy()) {
                    continue;
                }
                let hint = near(name, all().map(Setting::variable)).map_or_else(
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

/// The settings of one command, as given by whomever.
pub(super) struct Sources<'a> {
    settings: &'static [Setting],
    flags: &'a ArgMatches,
    variables: BTreeMap<String, String>,
    file: Option<File>,
    pub(super) environment: &'a Environment,
}

impl<'a> Sources<'a> {
    /// Reads the file, if one is named.
    ///
    /// # Errors
    /// When something in the environment or the file is not known, or not of its type.
    pub(super) fn new(
        settings: &'static [Setting],
        flags: &'a ArgMatches,
        environment: &'a Environment,
    ) -> Result<Self, CliError> {
        let variables = environment.texts()?;
        let mut sources = Self { settings, flags, variables, file: None, environment };
        if let Some(path) = sources.find("config") {
            path.read(|_| Ok(()))?;
            sources.file = Some(File::read(&path.text, &path.origin)?);
        }
        Ok(sources)
    }

    /// A setting of this command.
    pub(super) fn setting(&self, name: &'static str) -> &'static Setting {
        let setting = self.settings.iter().find(|setting| setting.name == name);
        setting.unwrap_or_else(|| unreachable!("the table has no setting {name}"))
    }

    /// Which layers give a setting, the strongest first: with where they were given, and what.
    pub(super) fn given(&self, setting: &'static Setting) -> impl Iterator<Item = (Layer, String, Entry)> + '_ {
        let name = setting.name;
        let flags = self
            .flags
            .get_many::<String>(name)
            .map(|values| (Layer::Flag, format!("flag --{name}"), Entry::Many(values.cloned().collect())));
        let variable = setting.variable();
        let variable = self
            .variables
            .get(&variable)
            .map(|text| (Layer::Variable, format!("variable {variable}"), Entry::One(text.clone())));
        let file = self.file.as_ref().and_then(|file| {
            let entry = match file.get(name)? {
                Entry::One(text) => Entry::One(text.clone()),
                Entry::Many(texts) => Entry::Many(texts.clone()),
                Entry::Pairs(pairs) => Entry::Pairs(pairs.clone()),
            };
            Some((Layer::File, format!("{}, key {name}", file.path), entry))
        });
        flags.into_iter().chain(variable).chain(file)
    }

    /// A setting with one value; its default, if it has one that is a value.
    pub(super) fn find(&self, name: &'static str) -> Option<Given> {
        let setting = self.setting(name);
        let mut given = self.given(setting).filter_map(|(layer, origin, entry)| match entry {
            Entry::One(text) => Some(Given { text, layer: Some(layer), origin }),
            Entry::Many(texts) => Some(Given { text: texts.into_iter().next()?, layer: Some(layer), origin }),
            Entry::Pairs(_) => None,
        });
        given.next().or_else(|| match setting.standard {
            Standard::Value(text) => {
                Some(Given { text: text.to_owned(), layer: None, origin: format!("default of --{name}") })
            }
            Standard::Described(_) | Standard::Required | Standard::Empty => None,
        })
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

    /// A setting with several values: all those of the strongest who gave any.
    pub(super) fn list(&self, name: &'static str) -> Vec<Given> {
        let strongest = self.given(self.setting(name)).next();
        let Some((layer, origin, entry)) = strongest else { return Vec::new() };
        let texts = match entry {
            // An empty variable is an empty list.
            Entry::One(text) if text.trim().is_empty() => Vec::new(),
            Entry::One(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            Entry::Many(texts) => texts,
            Entry::Pairs(_) => Vec::new(),
        };
        texts.into_iter().map(|text| Given { text, layer: Some(layer), origin: origin.clone() }).collect()
    }
}
