//! `mapper-host build`.

use clap::{Arg, ArgMatches, Command};

use super::super::sources::{Environment, Sources};
use super::{CliError, arguments, given_path, guest, path, readers, settings, switch, wrong};
use crate::config::{BuildConfig, WatchConfig, remote};
use mapper_author::project::Rebuild;

pub(super) fn command() -> Command {
    // The settings of the cases; only --watch runs them.
    let settings = settings::WATCH.iter().map(|setting| arguments::argument(setting).requires("watch"));
    Command::new("build")
        .about("Builds a plugin project, once or at each change")
        .override_usage("mapper-host build DIR [--output FILE]\n       mapper-host build DIR --watch [--swap URL] [OPTIONS]")
        .arg(path("dir", "DIR").required(true).help("The folder of the plugin project"))
        .arg(path("output", "FILE").long("output").help(
            "The path of the plugin [default: NAME.wasm beside the folder, or in it if it is the working directory]",
        ))
        .arg(switch("force").help(
            "Build even if neither the sources nor the tools have changed, for example for newer versions of dependencies",
        ))
        .arg(switch("watch").help("Build again at each change, and run the cases"))
        .arg(
            Arg::new("swap")
                .long("swap")
                .value_name("URL")
                .requires("watch")
                .help("After each build whose cases pass, swap the plugin into the running host with this admin server"),
        )
        .args(settings)
        .after_help(arguments::AFTER)
}

/// Reads and checks. Without `--watch`, nothing but the arguments counts.
///
/// # Errors
/// The first setting that is wrong.
pub(super) fn config(matches: &ArgMatches, environment: &Environment) -> Result<BuildConfig, CliError> {
    let dir = given_path(matches, "dir").unwrap_or_default();
    let rebuild = if matches.get_flag("force") { Rebuild::Always } else { Rebuild::WhenChanged };
    let mut config = BuildConfig { dir, output: given_path(matches, "output"), rebuild, watch: None };
    if matches.get_flag("watch") {
        let sources = Sources::new(&settings::WATCH, matches, environment)?;
        let url = matches
            .get_one::<String>("swap")
            .map(|text| remote::url(text).map_err(|allowed| wrong("swap", text, &allowed)));
        let token_file = sources.optional("admin-token-file", readers::path)?;
        let swap = url.transpose()?.map(|url| (url, token_file));
        config.watch = Some(Box::new(WatchConfig { guest: guest(&sources)?, swap }));
    }
    Ok(config)
}
