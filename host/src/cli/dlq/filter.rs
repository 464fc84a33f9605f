//! The filters of dead letters.

use clap::{Arg, ArgAction, ArgMatches};

use super::super::readers;
use super::super::sources::Sources;
use super::CliError;
use crate::config::letter_filter::{FLAGS, FilterTexts};
use crate::config::{HistoryPlace, LetterFilter, values};

/// The arguments of all commands that read letters.
pub(super) fn arguments() -> impl Iterator<Item = Arg> {
    let with_alias =
        |argument: Arg| if argument.get_id() == "failed-in" { argument.visible_alias("version") } else { argument };
    arguments_without_version().into_iter().map(with_alias)
}

/// The same for commands whose `--version` is the version that maps the letters.
pub(super) fn arguments_without_version() -> [Arg; 10] {
    let argument = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Filters")
    };
    [
        argument(
            "of-group",
            "GROUP",
            "Letters of the group with this fingerprint, or its beginning, like the argument GROUP",
        )
        .long("group"),
        argument(
            "source",
            "RANGE",
            "Letters of these records: TOPIC/PARTITION@FROM..TO, such as visits/0@100..200; without TO, all from the offset FROM on",
        ),
        argument(
            "since",
            "TIME",
            "Letters that failed at this time or later: 2026-11-27T10:00:00Z, or 2h for two hours ago",
        ),
        argument("until", "TIME", "Letters that failed before this time"),
        argument("kind", "KIND", "Letters of this kind of failure, such as trap, or of this class of exception"),
        argument(
            "failed-in",
            "VERSION",
            "Letters of this version of the plugin: its number, NAME@NUMBER, or the beginning of its digest",
        ),
        argument("key", "KEY", "Letters of records with this key"),
        argument("grep", "TEXT", "Letters with this text in the message or in the value of the record"),
        argument(
            "state",
            "STATE",
            "open (default), closed or all letters; or the open letters of groups that are new, ongoing, regressed, acknowledged, \
             muted or resolved",
        ),
        argument(
            "withdrawn",
            "",
            "Letters of versions that failed their probation, by the history of the host on this machine (--state-dir)",
        )
        .action(ArgAction::SetTrue),
    ]
}

/// Reads and checks.
///
/// # Errors
/// The first argument that is wrong.
pub(super) fn read(matches: &ArgMatches, sources: &Sources<'_>) -> Result<LetterFilter, CliError> {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    // Not all commands have it.
    let selected = matches.try_get_one::<String>("selected").ok().flatten();
    let selected = selected.or_else(|| matches.get_one::<String>("of-group"));
    let texts = FilterTexts {
        selected: selected.map(String::as_str),
        source: text("source"),
        since: text("since"),
        until: text("until"),
        kind: text("kind"),
        version: text("failed-in"),
        key: text("key"),
        grep: text("grep"),
        state: text("state"),
    };
    let filter = texts.read(FLAGS).map_err(CliError::Wrong)?;
    let withdrawn_in = matches.get_flag("withdrawn").then(|| history_place(matches, sources)).transpose()?;
    Ok(LetterFilter { withdrawn_in, ..filter })
}

/// Where the host of the pipeline keeps its history.
///
/// # Errors
/// A setting that is wrong.
pub(super) fn history_place(matches: &ArgMatches, sources: &Sources<'_>) -> Result<HistoryPlace, CliError> {
    let group = match matches.get_one::<String>("consumer-group") {
        Some(given) => {
            values::name(given).map_err(|allowed| CliError::Wrong(FLAGS.wrong("consumer-group", given, &allowed)))?
        }
        None => readers::group(sources)?,
    };
    Ok(HistoryPlace { state_dir: readers::state_dir(sources)?, group })
}

/// The beginning of a fingerprint.
///
/// # Errors
/// If it can't be one.
pub(super) fn group(text: &str) -> Result<String, CliError> {
    FLAGS.fingerprint(text).map_err(CliError::Wrong)
}

pub(super) fn limit(matches: &ArgMatches) -> Result<Option<u64>, CliError> {
    let given = matches.get_one::<String>("limit");
    given
        .map(|text| {
            values::whole(text, 1..=u64::MAX).map_err(|allowed| CliError::Wrong(FLAGS.wrong("limit", text, &allowed)))
        })
        .transpose()
}
