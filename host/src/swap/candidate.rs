//! Loads WebAssembly plugins with the settings and limits of a pipeline.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mapper_api::versions::{Difference, Step};
use mapper_core::identity::Identity;
use mapper_core::record::Batch;
use mapper_core::verdict::FailureKind;
use mapper_versions::history::Trigger;
use mapper_versions::outcome::excerpt;
use mapper_versions::swapper::{Refusal, VersionLoader};
use mapper_versions::tryout::{Compared, Trial};
use serde_json::Value;

use super::ActivePlugin;
use crate::schema_registry::PipelineMapper;
use mapper_author::cases::{self, Case};
use mapper_author::project;
use mapper_codec::{Codec, CodecMapper};
use mapper_core::record::Positions;
use mapper_kafka::setup::Setup;
use mapper_runtime::{Effort, Engine, LoadError, Plugin, PluginMapper, Stage};
use mapper_telemetry::Telemetry;

/// The timeout of the request for committed offsets.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

pub struct PluginLoader {
    /// Has the limits of the pipeline.
    pub engine: Arc<Engine>,
    /// The settings of the plugin.
    pub settings: Vec<(String, String)>,
    /// The file that the host was started with.
    pub plugin_file: PathBuf,
    /// Reads committed offsets.
    pub setup: Arc<Setup>,
    /// The codec of the pipeline, if it has one.
    pub codec: Option<Arc<Codec>>,
    pub active: ActivePlugin,
    /// Shows the active plugin.
    pub telemetry: Arc<Telemetry>,
}

fn prepared(plugin: &Arc<Plugin>) -> Result<PluginMapper, Refusal> {
    PluginMapper::prepared(plugin.clone())
        .map_err(|failure| Refusal::new(Step::Configure, format!("failed to create an instance: {}", failure.text())))
}

/// The step and the reason why a plugin can't be used.
pub(crate) fn refusal(error: LoadError) -> Refusal {
    let step = match error.stage {
        Stage::Read => Step::Read,
        Stage::Compile => Step::Compile,
        Stage::Configure => Step::Configure,
    };
    Refusal { step, reason: error.reason }
}

impl VersionLoader for PluginLoader {
    type Plugin = Plugin;
    type Mapper = PipelineMapper;

    fn load(&self, bytes: &[u8]) -> Result<Plugin, Refusal> {
        Plugin::from_bytes(&self.engine, bytes, &self.settings, Effort::OneThread).map_err(refusal)
    }

    fn identity<'p>(&self, plugin: &'p Plugin) -> &'p Identity {
        &plugin.identity
    }

    fn create_mapper(&self, plugin: &Arc<Plugin>, worker: Option<usize>) -> Result<PipelineMapper, Refusal> {
        let mapper = prepared(plugin)?;
        let mapper = match worker {
            Some(worker) => mapper.observed_by(self.telemetry.guest_observer(worker)),
            None => mapper,
        };
        Ok(CodecMapper::new(mapper, self.codec.as_deref()))
    }

    fn run_cases(&self, plugin: &Plugin, trial: &mut Trial) -> Result<(), Refusal> {
        let paths = cases::find_paths(&self.plugin_file, project::find_for_plugin(&self.plugin_file).as_deref());
        let files = cases::read_all(&paths)
            .map_err(|error| Refusal::new(Step::TryOut, format!("failed to read the cases: {error}")))?;
        for file in &files {
            for range in cases::split_runs(&file.cases) {
                let run = &file.cases[range];
                // Each pipeline has its own settings.
                let plugin = plugin.with_settings(&run[0].merge_settings(&self.settings)).map_err(refusal)?;
                // Cases have what a plugin gets, which is decoded.
                let mut mapper = prepared(&Arc::new(plugin))?;
                for case in run {
                    if trial.is_over() {
                        return Ok(());
                    }
                    let results = cases::run(&mut mapper, std::slice::from_ref(case));
                    results.iter().for_each(|result| add_case(trial, &file.path, case, result));
                }
            }
        }
        Ok(())
    }

    fn set_active(&self, plugin: &Arc<Plugin>, by: Trigger, stored: Option<PathBuf>) {
        let file = match by {
            Trigger::Start | Trigger::File | Trigger::Signal => None,
            Trigger::Http | Trigger::Rollback | Trigger::Probation => stored,
        };
        self.active.set(plugin);
        self.telemetry.about.set_plugin(plugin.identity.clone(), file.unwrap_or_else(|| self.plugin_file.clone()));
    }

    fn read_committed(&self, partitions: &[i32]) -> Positions {
        let asked = self.setup.read_committed(partitions, ASK_TIMEOUT);
        asked.unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to read the committed offsets");
            Positions::new()
        })
    }
}

/// Adds the result of a case to the try-out.
fn add_case(trial: &mut Trial, file: &Path, case: &Case, result: &cases::CaseResult) {
    let crashed = result
        .actual
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| FailureKind::ALL.into_iter().any(|known| known.name() == kind && known.is_crash()));
    let compared = match (result.passed, crashed) {
        (true, _) => Compared::Same,
        (false, true) => Compared::Crash,
        (false, false) => Compared::Broken,
    };
    trial.add_case(compared, || {
        let place = format!("{}:{}", file.display(), case.line);
        let text = |value: &Value| excerpt(Some(value.to_string().as_bytes()));
        let mut alone = Batch::new("");
        case.input.push_to(&mut alone, case.line as i64);
        Difference {
            record: case.name.as_ref().map_or_else(|| place.clone(), |name| format!("case {name} ({place})")),
            input: excerpt(alone.record(0).value()),
            old: text(&result.expected),
            new: text(&result.actual),
        }
    });
}
