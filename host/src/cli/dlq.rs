//! `mapper-host dlq`: the commands for dead letters.

mod filter;
mod redrive;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::sources::{Environment, Sources};
use super::{CliError, arguments, pipelines, readers, settings};
use crate::config::{DlqCommand, DlqConfig, DlqTopics, GroupMark, LetterFilter, values};

const ABOUT: &str = "Shows dead letters, and records what is done about them";
const CODES: &str = "Reading joins no consumer group and commits nothing. Exit codes: 0 success; 1 internal error or nothing found; \
    10 records failed again; 2 bad configuration; 4 Kafka unreachable or fatal Kafka error.";
const NO_BROKERS: &str = "give the brokers with --brokers LIST, for example --brokers localhost:9092 \
    (or MAPPER_BROKERS, or the key brokers of the file given with --config)";

/// The commands.
pub(super) fn command() -> Command {
    let read = |name: &'static str, about: &'static str| Command::new(name).about(about).args(filter::arguments());
    let limit = Arg::new("limit").long("limit").value_name("N").help("End after this many letters");
    let group = || Arg::new("marked").value_name("GROUP").required(true).help("The fingerprint, or its beginning");
    let selected = || Arg::new("selected").value_name("GROUP").help("The fingerprint of a group, or its beginning");
    let reason = Arg::new("reason").long("reason").value_name("TEXT").required(true);
    let reason = reason.help("Why; it is recorded with your name and the time");
    let groups = read("groups", "Groups the open dead letters by their cause, the largest group first");
    let list = read("list", "Lists dead letters, one a line").arg(selected()).arg(limit.clone());
    let show =
        read("show", "Shows a group with samples, or one letter")
            .arg(Arg::new("selected").value_name("GROUP|TOPIC/PARTITION@OFFSET").required(true).help(
            "The fingerprint of a group, or its beginning; or the position of a letter or of the record that failed",
        ));
    let export = read("export", "Prints complete dead letters as JSON lines").arg(selected());
    let import = Command::new("import").about("Writes exported dead letters to the dead-letter topic").arg(
        arguments::path(Arg::new("file").value_name("FILE").required(true))
            .help("JSON lines of mapper-host dlq export; - is standard input"),
    );
    let cases = read("cases", "Prints test cases for a plugin from the records that failed")
        .arg(selected())
        .arg(limit.clone().help("The most cases; records with the same value make one [default: 20]"));
    let mark =
        |name: &'static str, about: &'static str| Command::new(name).about(about).arg(group()).arg(reason.clone());
    let ack = mark("ack", "Marks a group as acknowledged: somebody works on it");
    let resolve = mark("resolve", "Marks a group as resolved; a later letter makes it regressed").arg(
        Arg::new("fixed-in").long("fixed-in").value_name("DIGEST").help(
            "The digest of the version that resolves it, or its beginning. Later letters of versions that had failed before then do \
             not count",
        ),
    );
    let mute = mark("mute", "Marks a group as muted: it is not shown and raises no alert").arg(
        Arg::new("for").long("for").value_name("DURATION").help("How long, such as 7d [default: until it is reopened]"),
    );
    let reopen = mark("reopen", "Removes the mark of a group");
    let discard = read("discard", "Resolves letters without processing them").arg(selected()).arg(reason);
    let commands = [groups, list, show, export, import, cases, ack, resolve, mute, reopen, discard]
        .map(|command| command.args(settings_arguments(&settings::DLQ)));
    let processing = [redrive::try_command(selected()), redrive::redrive_command(selected()), redrive::edit_command()];
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON");
    Command::new("dlq")
        .about(ABOUT)
        .override_usage("mapper-host dlq COMMAND --brokers LIST [OPTIONS]")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(commands.into_iter().chain(processing).map(|command| {
            let pipeline = "The pipeline of the settings file, if it has several";
            command
                .arg(json.clone())
                .arg(Arg::new("pipeline").long("pipeline").value_name("NAME").help(pipeline))
                .after_help(CODES)
        }))
}

/// The settings of a command. `--group` names a group of failures here.
fn settings_arguments(table: &'static [settings::Setting]) -> impl Iterator<Item = Arg> {
    let group = Arg::new("consumer-group").long("consumer-group").value_name("NAME").help_heading("Delivery");
    let help = "The consumer group of the pipeline, for the ledger and the history of versions [default: visits_reader] \
        [env: MAPPER_GROUP]";
    let others = table.iter().filter(|setting| setting.name != "group");
    [group.help(help)].into_iter().chain(others.map(arguments::argument))
}

/// Reads and checks.
///
/// # Errors
/// The first argument or setting that is wrong.
pub(super) fn command_config(matches: &ArgMatches, environment: &Environment) -> Result<DlqConfig, CliError> {
    let (name, matches) = matches.subcommand().unwrap_or_else(|| unreachable!("clap requires a command"));
    let is_processing = matches!(name, "try" | "redrive" | "edit");
    let table: &[settings::Setting] = if is_processing { &settings::REDRIVE } else { &settings::DLQ };
    let sources = Sources::new(table, matches, environment)?;
    let sources = pipelines::select(sources, matches)?;
    Ok(DlqConfig {
        topics: topics(&sources)?,
        command: match is_processing {
            true => redrive::config(name, matches, &sources)?,
            false => read_command(name, matches, &sources)?,
        },
        json: matches.get_flag("json"),
        log: readers::log(&sources)?,
    })
}

fn topics(sources: &Sources<'_>) -> Result<DlqTopics, CliError> {
    let (brokers, kafka) = readers::kafka(sources)?;
    let dead_letters = sources.value("dead-letter-topic", values::topic)?;
    let states = readers::state_topic(sources, &dead_letters)?;
    Ok(DlqTopics {
        brokers: brokers.ok_or_else(|| CliError::Wrong(NO_BROKERS.to_owned()))?,
        kafka,
        connect_timeout: readers::connect_timeout(sources)?,
        dead_letters,
        states,
    })
}

fn read_command(name: &str, matches: &ArgMatches, sources: &Sources<'_>) -> Result<DlqCommand, CliError> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let filter = || filter::read(matches, sources);
    let reason = || text("reason").unwrap_or_default();
    let mark = |mark: GroupMark| {
        let group = filter::group(&text("marked").unwrap_or_default())?;
        let reason = reason();
        if reason.trim().is_empty() {
            return Err(CliError::Wrong("flag --reason: it is empty; say why, for those who read it later".to_owned()));
        }
        Ok(DlqCommand::Mark { group, mark, reason })
    };
    Ok(match name {
        "groups" => DlqCommand::Groups(filter()?),
        "list" => DlqCommand::List { filter: filter()?, limit: filter::limit(matches)? },
        "show" => DlqCommand::Show { filter: filter()? },
        "export" => DlqCommand::Export(filter()?),
        "import" => DlqCommand::Import(matches.get_one::<PathBuf>("file").cloned().unwrap_or_default()),
        "cases" => DlqCommand::Cases { filter: filter()?, limit: filter::limit(matches)? },
        "ack" => mark(GroupMark::Acknowledge)?,
        "resolve" => mark(GroupMark::Resolve(text("fixed-in")))?,
        "mute" => mark(GroupMark::Mute(text("for").map(|text| end_of_mute(&text)).transpose()?))?,
        "reopen" => mark(GroupMark::Reopen)?,
        _ => DlqCommand::Discard { filter: meant(filter()?)?, reason: reason() },
    })
}

fn end_of_mute(text: &str) -> Result<DateTime<Utc>, CliError> {
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
    let duration = values::duration(text, Duration::from_secs(1)..=LONGEST);
    let duration =
        duration.map_err(|allowed| CliError::Wrong(format!("flag --for: {text:?} is not allowed: {allowed}")))?;
    Ok(Utc::now() + duration)
}

/// A command that changes letters must say which ones.
fn meant(filter: LetterFilter) -> Result<LetterFilter, CliError> {
    if filter.withdrawn_in.is_none() && filter.selection == mapper_dead_letters::Selection::default() {
        return Err(CliError::Wrong(
            "no letters are selected: give a GROUP, or a filter such as --kind or --until; for all of them, --since 1970-01-01".to_owned(),
        ));
    }
    Ok(filter)
}
