//! The commands that speak to a running host: their arguments, read and checked.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::arguments::argument;
use super::readers::path;
use super::settings::REMOTE;
use super::sources::Sources;
use super::{CliError, pipelines};
use crate::config::{RemoteCommand, RemoteConfig, remote};

/// The names of these commands.
pub(super) const NAMES: [&str; 5] = ["swap", "rollback", "status", "history", "shadow"];

const CODES: &str = "Exit codes: 0 success; 1 the host does not answer or is busy; 2 bad configuration or wrong token; 3 plugin refused.";

/// The commands.
pub(super) fn commands() -> [Command; 5] {
    let file = |required: bool| {
        Arg::new("file").value_name("FILE").required(required).value_parser(clap::value_parser!(PathBuf))
    };
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let swap = Command::new("swap")
        .about("Swaps a new version of the plugin into a running host, after a try-out")
        .arg(file(true).help("The plugin file; its content is sent to the host"))
        .arg(switch("dry-run", "Try the version out and show the differences, without a swap"))
        .arg(switch("force", "Skip the try-out; the history records that"))
        .override_usage("mapper-host swap FILE [--dry-run] [--force] [OPTIONS]");
    let rollback = Command::new("rollback")
        .about("Returns a running host to an earlier version, after a confirmation")
        .arg(Arg::new("to").long("to").value_name("VERSION").help(
            "The version to return to, without a confirmation: the first digits of its digest, its version number if that is \
             unique, or NAME@VERSION (see mapper-host history). Required for a version that failed its probation",
        ))
        .arg(switch("yes", "Return to the version before without a confirmation"))
        .override_usage("mapper-host rollback [--yes | --to VERSION] [OPTIONS]");
    let status = Command::new("status")
        .about("Lists the pipelines of a running host with their states")
        .override_usage("mapper-host status [OPTIONS]");
    let history = Command::new("history")
        .about("Lists the versions of the plugin in a running host, with the offsets of each")
        .override_usage("mapper-host history [OPTIONS]");
    let shadow = Command::new("shadow")
        .about("Runs a candidate beside the active version, on live records and without outputs")
        .arg(file(false).required_unless_present("stop").help("The candidate; its content is sent to the host"))
        .arg(switch("stop", "End the running shadow").conflicts_with("file"))
        .override_usage("mapper-host shadow FILE [OPTIONS]\n       mapper-host shadow --stop [OPTIONS]");
    [swap, rollback, status, history, shadow].map(|command| {
        command
            .arg(pipeline_argument())
            .arg(switch("json", "Print the answer of the host, as JSON"))
            .args(REMOTE.iter().map(argument))
            .after_help(CODES)
    })
}

/// Which of several pipelines is meant.
fn pipeline_argument() -> Arg {
    let help = "The pipeline, if the host has several (see mapper-host status)";
    Arg::new("pipeline").long("pipeline").value_name("NAME").help(help)
}

/// Reads and checks.
///
/// # Errors
/// The first invalid setting, its source, and the allowed values.
pub(super) fn config(name: &str, matches: &ArgMatches, sources: &Sources<'_>) -> Result<RemoteConfig, CliError> {
    let switch = |name: &str| matches.get_flag(name);
    // Without FILE where it is needed, clap has refused already.
    let file = || matches.get_one::<PathBuf>("file").cloned().unwrap_or_default();
    let command = match name {
        "swap" => RemoteCommand::Swap { file: file(), dry_run: switch("dry-run"), force: switch("force") },
        "rollback" => RemoteCommand::Rollback { to: matches.get_one::<String>("to").cloned(), yes: switch("yes") },
        "shadow" if switch("stop") => RemoteCommand::StopShadow,
        "status" => RemoteCommand::Status,
        "shadow" => RemoteCommand::Shadow { file: file() },
        _ => RemoteCommand::History,
    };
    Ok(RemoteConfig {
        url: sources.value("admin", remote::url)?,
        token_file: sources.optional("admin-token-file", path)?,
        pipeline: matches.get_one::<String>("pipeline").map(|name| pipelines::name(name)).transpose()?,
        json: switch("json"),
        command,
    })
}
