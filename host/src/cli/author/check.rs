//! `mapper-host check`.

use clap::{ArgMatches, Command};

use super::super::check_file;
use super::super::sources::Sources;
use super::{CliError, arguments, given_path, guest, path, settings, switch};
use crate::config::{AuthorCommand, CheckConfig};

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Checks a plugin file, or a settings file (--config)")
        .override_usage(
            "mapper-host check FILE [OPTIONS]\n       mapper-host check --config FILE [--brokers LIST]\n       mapper-host check --contract [--json]",
        )
        .arg(path("plugin", "FILE").required_unless_present_any(["contract", "config"]).help("The file"))
        .arg(switch("json").help("Print JSON, for programs"))
        .arg(
            switch("contract")
                .conflicts_with("plugin")
                .help("Print the versions of the contract (wit/mapper.wit) that this host supports"),
        )
        .arg(check_file::brokers_argument())
        .args(settings::TEST.iter().map(arguments::argument))
        .after_help(arguments::AFTER)
}

/// Reads and checks.
///
/// # Errors
/// The first setting that is wrong.
pub(super) fn config(matches: &ArgMatches, sources: &Sources<'_>) -> Result<AuthorCommand, CliError> {
    let json = matches.get_flag("json");
    if matches.get_flag("contract") {
        return Ok(AuthorCommand::Contract { json });
    }
    let plugin = given_path(matches, "plugin").unwrap_or_default();
    Ok(AuthorCommand::Check(Box::new(CheckConfig { plugin, json, guest: guest(sources)? })))
}
