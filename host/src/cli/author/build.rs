//! `host build`.

use clap::{ArgMatches, Command};

use super::super::sources::{Environment, Sources};
use super::{CliError, definition, given_path, guest, path, settings, switch};
use crate::config::{BuildConfig, WatchConfig};

pub(super) fn command() -> Command {
    // What the cases are run with; read only where they are run.
    let settings = settings::TEST.iter().map(|setting| definition::argument(setting).requires("watch"));
    Command::new("build")
        .about("Builds a plugin project, once or at each change")
        .override_usage("host build DIR [--output FILE]\n       host build DIR --watch [OPTIONS]")
        .arg(path("dir", "DIR").required(true).help("The folder of the plugin project"))
        .arg(path("output", "FILE").long("output").help(
            "Where the plugin goes [default: NAME.wasm beside the folder, or in it if it is the working directory]",
        ))
        .arg(switch("watch").help("Build again at each change, and run the cases"))
        .args(settings)
        .after_help(definition::AFTER)
}

/// Reads and checks. Without `--watch`, nothing but the arguments counts.
///
/// # Errors
/// The first setting that is wrong.
pub(super) fn config(matches: &ArgMatches, environment: &Environment) -> Result<BuildConfig, CliError> {
    let dir = given_path(matches, "dir").unwrap_or_default();
    let mut config = BuildConfig { dir, output: given_path(matches, "output"), watch: None };
    if matches.get_flag("watch") {
        let sources = Sources::new(&settings::TEST, matches, environment)?;
        config.watch = Some(Box::new(WatchConfig { guest: guest(&sources)? }));
    }
    Ok(config)
}
