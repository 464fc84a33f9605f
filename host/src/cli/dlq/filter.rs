//! The filters of dead letters.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Arg, ArgAction, ArgMatches};

use super::super::readers;
use super::super::sources::Sources;
use super::CliError;
use crate::config::{HistoryPlace, LetterFilter, StateFilter, values};
use mapper_dead_letters::Selection;
use mapper_dead_letters::selection::Position;

/// A shorter beginning of a fingerprint is a slip rather than a choice.
const MIN_FINGERPRINT: usize = 4;
const TIME_ALLOWED: &str =
    "give a time such as 2026-11-27T10:00:00Z or 2026-11-27 (UTC), or how long ago, such as 30m, 2h or 7d";

/// The arguments of all commands that read letters.
pub(super) fn arguments() -> impl Iterator<Item = Arg> {
    let with_alias =
        |argument: Arg| if argument.get_id() == "failed-in" { argument.visible_alias("version") } else { argument };
    arguments_without_version().into_iter().map(with_alias)
}

/// The same for commands whose `--version` is the version that maps the letters.
pub(super) fn arguments_without_version() -> [Arg; 9] {
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
    let time =
        |name: &str| text(name).map(|given| time(given).ok_or_else(|| wrong(name, given, TIME_ALLOWED))).transpose();
    // Not all commands have it.
    let selected = matches.try_get_one::<String>("selected").ok().flatten();
    let selected = selected.or_else(|| matches.get_one::<String>("of-group"));
    let (group, position) = match selected {
        None => (None, None),
        Some(given) => match Position::parse(given) {
            Some(position) => (None, Some(position)),
            None => (Some(self::group(given)?), None),
        },
    };
    let (since, until) = (time("since")?, time("until")?);
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        let given = text("until").unwrap_or_default();
        return Err(wrong("until", given, "it is not later than --since, so no letter is selected"));
    }
    let state = text("state").map(|given| {
        let known = StateFilter::all().find(|(name, _)| *name == given).map(|(_, state)| state);
        let names = || StateFilter::all().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        known.ok_or_else(|| wrong("state", given, &format!("give one of {}", names())))
    });
    let selection = Selection {
        group,
        position,
        since,
        until,
        kind: text("kind").map(str::to_owned),
        version: text("failed-in").map(str::to_owned),
        key: text("key").map(|key| key.as_bytes().to_vec()),
        grep: text("grep").map(str::to_owned),
        withdrawn: None,
    };
    let withdrawn_in = matches.get_flag("withdrawn").then(|| history_place(matches, sources)).transpose()?;
    Ok(LetterFilter { selection, state: state.transpose()?.unwrap_or_default(), withdrawn_in })
}

/// Where the host of the pipeline keeps its history.
///
/// # Errors
/// A setting that is wrong.
pub(super) fn history_place(matches: &ArgMatches, sources: &Sources<'_>) -> Result<HistoryPlace, CliError> {
    let group = match matches.get_one::<String>("consumer-group") {
        Some(given) => values::name(given).map_err(|allowed| wrong("consumer-group", given, &allowed))?,
        None => readers::group(sources)?,
    };
    Ok(HistoryPlace { state_dir: readers::state_dir(sources)?, group })
}

/// The beginning of a fingerprint.
///
/// # Errors
/// If it can't be one.
pub(super) fn group(text: &str) -> Result<String, CliError> {
    let is_hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hexadecimal && (MIN_FINGERPRINT..=16).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(CliError::Wrong(format!(
        "argument GROUP: {text:?} is not allowed: give the fingerprint of a group, as mapper-host dlq groups lists it, or its first \
         {MIN_FINGERPRINT} or more digits; or a position such as visits_dlq/0@17"
    )))
}

pub(super) fn limit(matches: &ArgMatches) -> Result<Option<u64>, CliError> {
    let given = matches.get_one::<String>("limit");
    given.map(|text| values::whole(text, 1..=u64::MAX).map_err(|allowed| wrong("limit", text, &allowed))).transpose()
}

/// A time, a day, or how long ago.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    values::past(text).or_else(day)
}

fn wrong(flag: &str, text: &str, allowed: &str) -> CliError {
    CliError::Wrong(format!("flag --{flag}: {text:?} is not allowed: {allowed}"))
}
