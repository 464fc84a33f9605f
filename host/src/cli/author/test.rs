//! `mapper-host test`.

use clap::{Arg, ArgMatches, Command};

use super::super::sources::Sources;
use super::{CliError, arguments, given_path, guest, path, settings, switch};
use crate::config::TestConfig;

pub(super) fn command() -> Command {
    Command::new("test")
        .about("Runs the cases of a plugin: inputs with their expected outputs")
        .override_usage("mapper-host test [DIR|FILE]... [OPTIONS]")
        .arg(
            path("target", "DIR|FILE")
                .num_args(0..)
                .default_value(".")
                .help("Plugin files, or folders of plugin projects, which are built first"),
        )
        .arg(path("cases", "PATH").long("cases").help(
            "A file of cases, or a folder of .jsonl files [default: NAME.cases.jsonl beside the plugin, else cases.jsonl or \
             cases/ in its project]",
        ))
        .arg(
            Arg::new("filter")
                .long("filter")
                .value_name("TEXT")
                .help("Only the cases with this text in their name or position (FILE:LINE)"),
        )
        .arg(switch("bless").help("Replace the expected results of failed cases with the actual results"))
        .arg(path("junit", "FILE").long("junit").help("Also write a report in JUnit's XML"))
        .args(settings::TEST.iter().map(arguments::argument))
        .after_help(arguments::AFTER)
}

/// Reads and checks.
///
/// # Errors
/// The first setting that is wrong.
pub(super) fn config(matches: &ArgMatches, sources: &Sources<'_>) -> Result<TestConfig, CliError> {
    let targets: Vec<_> = matches.get_many("target").into_iter().flatten().cloned().collect();
    let cases = given_path(matches, "cases");
    if cases.is_some() && targets.len() > 1 {
        return Err(CliError::Wrong("flag --cases: there are several plugins; give one".to_owned()));
    }
    Ok(TestConfig {
        targets,
        cases,
        filter: matches.get_one("filter").cloned(),
        bless: matches.get_flag("bless"),
        junit: given_path(matches, "junit"),
        guest: guest(sources)?,
    })
}
