//! The settings in force with their sources, for the admin API. The list follows from the table of settings, so a new one is in it.

use std::collections::BTreeMap;

use mapper_api::settings::{SettingInForce, SettingSource};

use super::CliError;
use super::file::Entry;
use super::pairs;
use super::settings::{Kind, OF_PROCESS, RUN, Setting, of_pipeline};
use super::sources::{Layer, Sources, without_credentials};
use crate::config::{PipelineSpec, RunConfig, RunSettings, webhook};

/// Defaults that depend on other settings, by the names of the settings.
type Derived = BTreeMap<&'static str, String>;

/// Adds the settings in force. The pipelines of the configuration are those of the tables of the file, if it has any.
///
/// # Errors
/// If an entry of a setting has no key or no `=`.
pub(super) fn add(sources: &Sources<'_>, config: RunConfig) -> Result<RunConfig, CliError> {
    let has_tables = sources.file().is_some_and(|file| !file.pipelines.is_empty());
    let mut settings = RunSettings { process: of_process(sources, &config)?, ..RunSettings::default() };
    for (index, spec) in config.pipelines.iter().enumerate() {
        let sources = if has_tables { sources.of_table(index) } else { sources.clone() };
        settings.pipelines.insert(spec.name.clone(), of_one(&sources, spec)?);
    }
    Ok(RunConfig { settings, ..config })
}

/// The settings of the process. `config` has the values that follow from others.
fn of_process(sources: &Sources<'_>, config: &RunConfig) -> Result<Vec<SettingInForce>, CliError> {
    let path = |path: &std::path::PathBuf| path.display().to_string();
    let folders =
        [("cache-dir", config.cache_dir.as_ref().map(path)), ("state-dir", config.state_dir.as_ref().map(path))];
    // Without the setting, the variables of OpenTelemetry say it.
    let endpoint = config.tracing.as_ref().map(|tracing| without_credentials(&tracing.endpoint));
    let others = [("otlp-endpoint", endpoint), ("admin-payloads", Some(config.admin_payloads.to_string()))];
    let derived = folders.into_iter().chain(others).filter_map(|(name, value)| Some((name, value?)));
    let settings = RUN.iter().filter(|setting| OF_PROCESS.contains(&setting.name));
    list(sources, settings, &derived.collect())
}

/// The settings of a pipeline.
fn of_one(sources: &Sources<'_>, spec: &PipelineSpec) -> Result<Vec<SettingInForce>, CliError> {
    let derived = [
        ("group", spec.group.clone()),
        ("session-timeout", humantime::format_duration(spec.session_timeout).to_string()),
        ("delivery", spec.delivery.to_string()),
        ("workers", spec.workers.to_string()),
        ("state-topic", spec.state_topic.clone()),
    ];
    list(sources, of_pipeline(), &derived.into())
}

fn list(
    sources: &Sources<'_>,
    settings: impl Iterator<Item = &'static Setting>,
    derived: &Derived,
) -> Result<Vec<SettingInForce>, CliError> {
    let mut all = Vec::new();
    for setting in settings {
        let found = match setting.kind {
            Kind::Pairs => pairs::in_force(sources, setting)?,
            _ => given(sources, setting).into_iter().collect(),
        };
        if found.is_empty() {
            let value = derived.get(setting.name).cloned();
            let value = value.or_else(|| setting.default_text().map(ToOwned::to_owned));
            all.push(SettingInForce { value, ..in_force(setting, None) });
        }
        all.extend(found);
    }
    Ok(all)
}

/// A setting from this source, without a value; without a source the default.
pub(super) fn in_force(setting: &Setting, from: Option<(Layer, String)>) -> SettingInForce {
    let (layer, origin) = from.unzip();
    SettingInForce {
        group: setting.heading.to_owned(),
        name: setting.name.to_owned(),
        key: None,
        value: None,
        is_hidden: false,
        source: match layer {
            None => SettingSource::Default,
            Some(Layer::File) => SettingSource::File,
            Some(Layer::Variable) => SettingSource::Variable,
            Some(Layer::Flag) => SettingSource::Flag,
            Some(Layer::Table) => SettingSource::Table,
        },
        origin,
    }
}

/// The strongest source of a setting without keys.
fn given(sources: &Sources<'_>, setting: &'static Setting) -> Option<SettingInForce> {
    let (layer, origin, entry) = sources.given(setting).next()?;
    let text = match entry {
        Entry::One(text) => text,
        Entry::Many(texts) => texts.join(", "),
        Entry::Pairs(_) => String::new(),
    };
    let shown = match setting.name {
        // Its path and its query may be secret, too.
        "alert-webhook" => webhook::url(&text).map(|url| url.to_string()).unwrap_or_default(),
        _ => without_credentials(&text),
    };
    let is_hidden = shown != text;
    Some(SettingInForce { value: Some(shown), is_hidden, ..in_force(setting, Some((layer, origin))) })
}
