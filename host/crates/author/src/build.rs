//! `mapper-host build`: builds a project, once or at each change.

use super::{Outcome, watch};
use crate::config::BuildConfig;
use crate::project;
use crate::services::Services;
use mapper_core::shutdown::Halt;
use mapper_terminal::output;

/// Builds, and prints where the plugin is; or watches until the process is ended.
///
/// # Errors
/// When the project can't be built, or not be watched.
pub fn build(config: &BuildConfig, services: &dyn Services) -> Result<Outcome, Halt> {
    if let Some(watching) = &config.watch {
        watch::watch(config, watching, services)?;
    } else {
        let built = project::build(&config.dir, config.output.as_deref(), config.rebuild);
        let built = built.map_err(|error| Halt::plugin(format!("{error:#}")))?;
        output::print_line(built.plugin.display().to_string());
    }
    Ok(Outcome::Good)
}
