//! The workshop of the real host: plugins of WebAssembly, with the settings and limits of the run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::history::{By, Version};
use super::report::Step;
use super::swapper::{Refused, Workshop};
use super::tryout::Trial;
use crate::author::cases;
use crate::kafka::setup::Setup;
use crate::plugin::{Effort, Engine, Plugin, PluginMapper, Stage};
use crate::project;
use crate::record::Positions;
use crate::telemetry::Telemetry;

/// How long Kafka may take to say where the group stands.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes plugins and their mappers.
pub struct PluginWorkshop {
    /// With the limits of the run.
    pub engine: Arc<Engine>,
    /// The settings of the plugin.
    pub settings: Vec<(String, String)>,
    /// The input topic.
    pub topic: String,
    /// The file that the host was started with.
    pub plugin_file: PathBuf,
    /// Whom to ask for committed offsets.
    pub setup: Arc<Setup>,
    /// To whom it is said which plugin maps.
    pub telemetry: Arc<Telemetry>,
}

fn refused((stage, reason): (Stage, String)) -> Refused {
    let step = match stage {
        Stage::Read => Step::Read,
        Stage::Compile => Step::Compile,
        Stage::Configure => Step::Configure,
    };
    (step, reason)
}

impl Workshop for PluginWorkshop {
    type Plugin = Plugin;
    type Mapper = PluginMapper;

    fn load(&self, bytes: &[u8]) -> Result<Plugin, Refused> {
        Plugin::from_bytes(&self.engine, bytes, &self.settings, Effort::OneThread).map_err(refused)
    }

    fn who(&self, plugin: &Plugin) -> (Version, &'static str) {
        ((&plugin.identity).into(), plugin.identity.contract)
    }

    fn mapper(&self, plugin: &Arc<Plugin>, worker: Option<usize>) -> Result<PluginMapper, Refused> {
        let mapper = PluginMapper::prepared(plugin.clone())
            .map_err(|failure| (Step::Configure, format!("no instance can be made: {}", failure.text())))?;
        Ok(match worker {
            Some(worker) => mapper.reporting(self.telemetry.clone(), worker),
            None => mapper,
        })
    }

    fn run_cases(&self, plugin: &Plugin, trial: &mut Trial) -> Result<(), Refused> {
        let paths = cases::find(&self.plugin_file, project::of_plugin(&self.plugin_file).as_deref());
        let files =
            cases::read_all(&paths).map_err(|wrong| (Step::TryOut, format!("the cases can't be read: {wrong}")))?;
        for file in &files {
            for run in cases::runs(&file.cases) {
                let of_one = &file.cases[run];
                // Each run has settings of its own.
                let plugin = plugin.with_settings(&of_one[0].settings_over(&self.settings)).map_err(refused)?;
                let mut mapper = self.mapper(&Arc::new(plugin), None)?;
                for case in of_one {
                    if trial.is_over() {
                        return Ok(());
                    }
                    let judged = cases::judge(&mut mapper, std::slice::from_ref(case));
                    judged.iter().for_each(|judged| trial.case(&file.path, case, judged));
                }
            }
        }
        Ok(())
    }

    fn speaks(&self, plugin: &Plugin, by: By, kept: Option<PathBuf>) {
        let file = match by {
            By::Start | By::File | By::Signal => None,
            By::Http | By::Rollback | By::Probation => kept,
        };
        self.telemetry.about.set_plugin(plugin.identity.clone(), file.unwrap_or_else(|| self.plugin_file.clone()));
    }

    fn committed(&self, partitions: &[i32]) -> Positions {
        let asked = self.setup.committed(&self.topic, partitions.iter().copied(), ASK_TIMEOUT);
        asked.unwrap_or_else(|error| {
            tracing::warn!(%error, "Kafka doesn't say where the group stands");
            Positions::new()
        })
    }
}
