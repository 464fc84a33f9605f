//! The pipelines of this process, for the admin server, the metrics and the reports.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use mapper_api::pipelines::ELSEWHERE;

use crate::admin::Subscribers;
use crate::config::RunSettings;
use crate::dlq::{Lookups, PipelineLetters, RedriveJobs, Scans};
use crate::swap::{ActivePlugin, Control, Outlines};
use mapper_api::settings::SettingInForce;
use mapper_codec::Codec;
use mapper_runtime::Plugin;
use mapper_telemetry::alerts::AlertCounts;
use mapper_telemetry::{Telemetry, Threads, Work};

/// The component of the reason of a halted pipeline.
const COMPONENT: &str = "pipeline";

/// All pipelines of the process, by name.
#[derive(Debug)]
pub struct PipelineRegistry {
    started: DateTime<Utc>,
    begun: Instant,
    entries: Mutex<BTreeMap<String, Arc<Entry>>>,
    config_error: Mutex<Option<String>>,
    settings: Mutex<Arc<RunSettings>>,
    /// Threads of the process that panicked; those of a pipeline are in its telemetry.
    pub threads: Threads,
    /// The posts to the alert webhook.
    pub alerts: Arc<AlertCounts>,
    /// The requests that read the topic of dead letters.
    pub scans: Scans,
    /// The requests for dead letters that the host knows.
    pub lookups: Lookups,
    /// The requests that map a record.
    pub mappings: Scans,
    /// The requests that read plugin files.
    pub plugin_files: Scans,
    /// What these files declare.
    pub outlines: Outlines,
    /// The requests that audit a pipeline.
    pub audits: Scans,
    /// The redrives that the admin API has started.
    pub redrives: RedriveJobs,
    /// The clients that follow them.
    pub(crate) subscribers: Subscribers,
}

impl Default for PipelineRegistry {
    fn default() -> Self {
        Self {
            started: Utc::now(),
            begun: Instant::now(),
            entries: Mutex::default(),
            config_error: Mutex::default(),
            settings: Mutex::default(),
            threads: Threads::default(),
            alerts: Arc::default(),
            scans: Scans::default(),
            lookups: Lookups::default(),
            mappings: Scans::new(1, "map-record"),
            plugin_files: Scans::new(1, "plugin-files"),
            outlines: Outlines::default(),
            audits: Scans::new(1, "audit"),
            redrives: RedriveJobs::default(),
            subscribers: Subscribers::default(),
        }
    }
}

impl PipelineRegistry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The start of the process.
    pub fn started(&self) -> DateTime<Utc> {
        self.started
    }

    /// The time since the start of the process.
    pub fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The reason why the present settings file was not applied; `None` if it was.
    pub fn config_error(&self) -> Option<String> {
        self.config_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the reason why the settings file was not applied.
    pub fn set_config_error(&self, error: Option<String>) {
        *self.config_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<RunSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the settings in force.
    pub fn set_settings(&self, settings: RunSettings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Sets those of the pipelines. Those of the process are the same to its end.
    pub fn set_pipeline_settings(&self, pipelines: BTreeMap<String, Vec<SettingInForce>>) {
        let process = self.settings().process.clone();
        self.set_settings(RunSettings { process, pipelines });
    }

    /// Adds a pipeline, or replaces the entry of its generation before.
    pub fn insert(&self, entry: Arc<Entry>) {
        self.lock().insert(entry.name.clone(), entry);
    }

    /// Removes a pipeline.
    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The pipeline of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.lock().get(name).cloned()
    }

    /// All pipelines, by name.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.lock().values().cloned().collect()
    }
}

/// The state of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It loads its plugin and connects to Kafka.
    Starting,
    /// Its workers run.
    Running,
    /// It ended without a failure.
    Ended,
    /// It halted. It restarts if a restart can help.
    Halted {
        /// The reason, for an operator.
        reason: String,
        /// The start of the next generation; `None` if it does not restart by itself.
        restart_at: Option<Instant>,
    },
    /// It runs in other processes; this one has access to its dead letters.
    Elsewhere,
}

impl State {
    /// The state in the answers of the admin server.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Halted { restart_at: Some(_), .. } => "restarting",
            Self::Halted { restart_at: None, .. } => "halted",
            Self::Elsewhere => ELSEWHERE,
        }
    }
}

/// One generation of a pipeline: a restart makes a new one.
pub struct Entry {
    name: String,
    generation: u64,
    /// The telemetry of this generation.
    pub telemetry: Arc<Telemetry>,
    versions: OnceLock<Arc<Control>>,
    active_plugin: OnceLock<ActivePlugin>,
    codec: OnceLock<Option<Arc<Codec>>>,
    letters: OnceLock<Arc<PipelineLetters>>,
    state: Mutex<State>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, generation, .. } = self;
        f.debug_struct("Entry").field("name", name).field("generation", generation).finish_non_exhaustive()
    }
}

impl Entry {
    /// A generation that starts; the first one is 1.
    pub fn new(name: &str, generation: u64) -> Arc<Self> {
        let entry = Self {
            name: name.to_owned(),
            generation,
            telemetry: Arc::default(),
            versions: OnceLock::new(),
            active_plugin: OnceLock::new(),
            codec: OnceLock::new(),
            letters: OnceLock::new(),
            state: Mutex::new(State::Starting),
        };
        Arc::new(entry)
    }

    /// A pipeline that runs in other processes.
    pub(crate) fn elsewhere(name: &str, work: Work, letters: PipelineLetters) -> Arc<Self> {
        let entry = Self::new(name, 0);
        entry.set_state(State::Elsewhere);
        entry.telemetry.about.set_work(work);
        entry.set_letters(Arc::new(letters));
        entry
    }

    /// The name of the pipeline.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How often the pipeline was started, this time included.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The current state.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it runs in other processes only.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.state() == State::Elsewhere
    }

    /// Sets the current state.
    pub fn set_state(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// The versions of its plugin, once it has started.
    pub fn versions(&self) -> Option<&Arc<Control>> {
        self.versions.get()
    }

    /// Sets the versions of its plugin. A generation has one control.
    pub fn set_versions(&self, versions: Arc<Control>) {
        let _ = self.versions.set(versions);
    }

    /// The plugin of its workers, once it is loaded.
    pub(crate) fn active_plugin(&self) -> Option<Arc<Plugin>> {
        self.active_plugin.get().map(ActivePlugin::get)
    }

    /// Sets where the plugin of its workers is found.
    pub(crate) fn set_active_plugin(&self, active: ActivePlugin) {
        let _ = self.active_plugin.set(active);
    }

    /// The codec of its records, if it has one.
    pub(crate) fn codec(&self) -> Option<Arc<Codec>> {
        self.codec.get().cloned().flatten()
    }

    /// Sets the codec of its records. A generation has the same settings to its end.
    pub(crate) fn set_codec(&self, codec: Option<Arc<Codec>>) {
        let _ = self.codec.set(codec);
    }

    /// Its dead letters, once its thread has started.
    pub fn letters(&self) -> Option<&Arc<PipelineLetters>> {
        self.letters.get()
    }

    /// Sets its dead letters. A generation has the same settings to its end.
    pub fn set_letters(&self, letters: Arc<PipelineLetters>) {
        let _ = self.letters.set(letters);
    }

    /// The reasons why the pipeline is not ready, with their components; empty if it is ready.
    pub fn not_ready(&self) -> Vec<(&'static str, String)> {
        let State::Halted { reason, restart_at } = self.state() else { return self.telemetry.not_ready() };
        let next = match restart_at {
            Some(at) => format!("restart in {} s", at.saturating_duration_since(Instant::now()).as_secs()),
            None => "a restart cannot help".to_owned(),
        };
        vec![(COMPONENT, format!("halted: {reason} ({next})"))]
    }

    /// The reasons to restart the process. The manager restarts a halted pipeline itself.
    pub fn stuck(&self) -> Vec<String> {
        match self.state() {
            State::Halted { .. } => Vec::new(),
            _ => self.telemetry.stuck(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halted_pipeline_is_not_ready_and_names_its_reason_until_the_next_generation() {
        let registry = PipelineRegistry::default();
        let first = Entry::new("a", 1);
        registry.insert(first.clone());
        registry.insert(Entry::new("b", 1));
        assert_eq!(first.not_ready(), []);
        first.telemetry.workers.worker(0).set_activity(mapper_pipeline::activity::Activity::Failed);
        assert_eq!(first.stuck().len(), 1);
        first.set_state(State::Halted { reason: "no broker answers".into(), restart_at: None });
        let reason = "halted: no broker answers (a restart cannot help)".to_owned();
        assert_eq!((first.not_ready(), first.stuck().len()), (vec![("pipeline", reason)], 0));
        registry.insert(Entry::new("a", 2));
        let all: Vec<_> = registry.all().iter().map(|entry| (entry.name().to_owned(), entry.generation())).collect();
        assert_eq!(all, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
        assert_eq!(registry.get("a").map(|entry| entry.not_ready().len()), Some(0));
        registry.remove("a");
        assert!(registry.get("a").is_none());
    }
    #[test]
    fn settings_of_the_process_stay_when_those_of_the_pipelines_change() {
        let settings = |name: &str| {
            let (group, source) = (String::new(), mapper_api::settings::SettingSource::Flag);
            vec![SettingInForce {
                group,
                name: name.into(),
                key: None,
                value: None,
                is_hidden: false,
                source,
                origin: None,
            }]
        };
        let registry = PipelineRegistry::default();
        let pipelines = BTreeMap::from([("old".to_owned(), settings("b"))]);
        registry.set_settings(RunSettings { process: settings("a"), pipelines });
        let pipelines = BTreeMap::from([("new".to_owned(), settings("c"))]);
        registry.set_pipeline_settings(pipelines.clone());
        assert_eq!(*registry.settings(), RunSettings { process: settings("a"), pipelines });
    }
}
