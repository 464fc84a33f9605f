//! The commands that speak to a running host: their arguments, read and checked.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::CliError;
use super::arguments::argument;
use super::readers::path;
use super::settings::REMOTE;
use super::sources::Sources;
use crate::config::{RemoteCommand, RemoteConfig, remote};

/// The names of these commands.
pub(super) const NAMES: [&str; 4] = ["swap", "rollback", "history", "shadow"];

const CODES: &str = "Exit codes: 0 done; 1 the host can't be asked, or has no time; 2 bad configuration, or the wrong token; 3 the \
    plugin is refused.";

/// The commands.
pub(super) fn commands() -> [Command; 4] {
    let file = |required: bool| {
        Arg::new("file").value_name("FILE").required(required).value_parser(clap::value_parser!(PathBuf))
    };
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let swap = Command::new("swap")
        .about("Swaps another version of the plugin into a running host, once it has passed a try-out there")
        .arg(file(true).help("The plugin; its bytes are sent"))
        .arg(switch("dry-run", "Do all but the swap, and show how the versions differ"))
        .arg(switch("force", "Skip the try-out; the history says so"))
        .override_usage("mapper-host swap FILE [--dry-run] [--force] [OPTIONS]");
    let rollback = Command::new("rollback")
        .about("Returns a running host to an earlier version, after it has shown which and asked")
        .arg(Arg::new("to").long("to").value_name("VERSION").help(
            "The version, without a question: the first digits of its digest, its version if no other has the same, or \
             NAME@VERSION (see mapper-host history). A version that failed its probation must be named so",
        ))
        .arg(switch("yes", "Return to the version before without a question"))
        .override_usage("mapper-host rollback [--yes | --to VERSION] [OPTIONS]");
    let history = Command::new("history")
        .about("Lists the versions that a running host has had, and for which offsets each spoke")
        .override_usage("mapper-host history [OPTIONS]");
    let shadow = Command::new("shadow")
        .about("Runs a candidate beside the version that speaks, on live records and without outputs, until Ctrl-C")
        .arg(file(false).required_unless_present("stop").help("The candidate; its bytes are sent"))
        .arg(switch("stop", "End the shadow that runs, wherever it was started").conflicts_with("file"))
        .override_usage("mapper-host shadow FILE [OPTIONS]\n       mapper-host shadow --stop [OPTIONS]");
    [swap, rollback, history, shadow].map(|command| {
        command
            .arg(switch("json", "Print what the host answers, as JSON"))
            .args(REMOTE.iter().map(argument))
            .after_help(CODES)
    })
}

/// Reads and checks.
///
/// # Errors
/// The first setting that is wrong, where it came from, and what is allowed.
pub(super) fn config(name: &str, matches: &ArgMatches, sources: &Sources<'_>) -> Result<RemoteConfig, CliError> {
    let switch = |name: &str| matches.get_flag(name);
    // Without FILE where it is needed, clap has refused already.
    let file = || matches.get_one::<PathBuf>("file").cloned().unwrap_or_default();
    let command = match name {
        "swap" => RemoteCommand::Swap { file: file(), dry_run: switch("dry-run"), force: switch("force") },
        "rollback" => RemoteCommand::Rollback { to: matches.get_one::<String>("to").cloned(), yes: switch("yes") },
        "shadow" if switch("stop") => RemoteCommand::StopShadow,
        "shadow" => RemoteCommand::Shadow { file: file() },
        _ => RemoteCommand::History,
    };
    Ok(RemoteConfig {
        url: sources.value("admin", remote::url)?,
        token_file: sources.optional("admin-token-file", path)?,
        json: switch("json"),
        command,
    })
}
