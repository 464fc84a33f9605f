//! `mapper-host build`: builds a project once, or after each change.

use super::{Outcome, watch};
use crate::config::BuildConfig;
use crate::project;
use crate::services::Services;
use mapper_core::shutdown::{Cause, Halt};
use mapper_terminal::output;

/// Builds once and prints the path of the plugin, or watches until the process ends.
///
/// # Errors
/// The build failed, or the directory can't be watched.
pub fn build(config: &BuildConfig, services: &dyn Services) -> Result<Outcome, Halt> {
    if let Some(watch_config) = &config.watch {
        watch::watch(config, watch_config, services)?;
    } else {
        let built = project::build(&config.dir, config.output.as_deref(), config.rebuild);
        let built = built.map_err(|error| Halt::new(Cause::Plugin, error))?;
        output::print_line(built.plugin.display().to_string());
    }
    Ok(Outcome::Success)
}
