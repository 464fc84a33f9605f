//! `dlq try` and `dlq redrive`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::super::sources::Sources;
use super::super::{author, failures, readers, schemas, topics};
use super::{CliError, filter, settings};
use crate::config::{
    DEFAULT_MAX_ATTEMPTS, Delivery, DlqCommand, HistoryPlace, RedriveConfig, RedriveTarget, StaleKeys, StateFilter,
    VersionChoice, values,
};

/// A shorter beginning of a digest is a slip rather than a choice.
const MIN_DIGEST: usize = 8;
const DIGEST_DIGITS: usize = 64;

pub(super) fn try_command(selected: Arg) -> Command {
    let plugin = Arg::new("file").value_name("FILE").value_parser(clap::value_parser!(PathBuf));
    with_settings(Command::new("try"))
        .about("Maps dead letters with a version of the plugin, and writes nothing")
        .override_usage(
            "mapper-host dlq try FILE [GROUP] [OPTIONS]\n       mapper-host dlq try [--version DIGEST] [--group GROUP] [OPTIONS]",
        )
        .arg(plugin.help("The plugin [default: the active version of the host on this machine]"))
        .arg(version())
        .args(filter::arguments_without_version())
        .arg(selected)
        .arg(limit())
        .arg(max_attempts())
}

pub(super) fn redrive_command(selected: Arg) -> Command {
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let value = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    with_settings(Command::new("redrive"))
        .about("Maps dead letters again: outputs and resolutions are written in one transaction")
        .override_usage(
            "mapper-host dlq redrive [--plugin FILE | --version DIGEST] [GROUP] [OPTIONS]\n       mapper-host dlq redrive --to-input [GROUP] \
             [OPTIONS]",
        )
        .arg(version())
        .args(filter::arguments_without_version())
        .arg(selected)
        .arg(switch("to-input", "Write the records to their input topics again, instead of mapping them here"))
        .arg(switch("dry-run", "Map the letters and write nothing, as dlq try does"))
        .arg(limit())
        .arg(max_attempts())
        .arg(value("rate", "N/s", "The most letters per second, such as 100/s"))
        .arg(value("batches", "N,N,all", "Redrive so many letters, ask, and go on with the next number of letters"))
        .arg(value(
            "stale-keys",
            "WHAT",
            "What to do about letters whose key has an output with a later timestamp than their record: warn (default) redrives and \
             counts them, skip leaves them out, allow does not read the output topics",
        ))
        .arg(switch("yes", "Do not ask between batches; stop there if there is a new group of failures"))
        .arg(switch("stop-on-regression", "Stop after the transaction in which a record fails in a way that no letter has"))
        .arg(switch("take-over", "Start although another redrive of this topic has not ended; that one is ended"))
}

pub(super) fn edit_command() -> Command {
    let position = Arg::new("selected").value_name("TOPIC/PARTITION@OFFSET").required(true);
    with_settings(Command::new("edit"))
        .about("Opens the value of a failed record in $EDITOR, and redrives the record with the edited value")
        .override_usage(
            "mapper-host dlq edit TOPIC/PARTITION@OFFSET --allow-edit [--plugin FILE | --version DIGEST] [OPTIONS]",
        )
        .arg(version())
        .args(filter::arguments_without_version())
        .arg(position.help("The position of a letter, or of the record that failed"))
        .arg(
            Arg::new("allow-edit")
                .long("allow-edit")
                .action(ArgAction::SetTrue)
                .required(true)
                .help("Required: the output is not that of the record. Its headers name the record and you"),
        )
        .arg(
            Arg::new("to-input")
                .long("to-input")
                .action(ArgAction::SetTrue)
                .help("Write the edited record to its input topic, instead of mapping it here"),
        )
        .arg(max_attempts())
}

fn limit() -> Arg {
    Arg::new("limit").long("limit").value_name("N").help("End after this many letters")
}

fn max_attempts() -> Arg {
    let help = "Leave out letters whose records have failed this many times [default: 5]";
    Arg::new("max-attempts").long("max-attempts").value_name("N").help(help)
}

fn version() -> Arg {
    let help = "The version that maps the records: the digest of a version in the history of the host on this machine, or its first 8 or \
        more digits [default: the active version there]";
    Arg::new("mapped-by").long("version").value_name("DIGEST").help(help).conflicts_with("plugin")
}

fn with_settings(command: Command) -> Command {
    command.args(super::settings_arguments(&settings::REDRIVE))
}

/// Reads and checks.
///
/// # Errors
/// The first argument or setting that is wrong.
pub(super) fn config(name: &str, matches: &ArgMatches, sources: &Sources<'_>) -> Result<DlqCommand, CliError> {
    let text = |name: &str| matches.try_get_one::<String>(name).ok().flatten().map(String::as_str);
    let switch = |name: &str| matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or_default();
    let wrong = |flag: &str, text: &str, allowed: &str| {
        CliError::Wrong(format!("flag --{flag}: {text:?} is not allowed: {allowed}"))
    };
    let max_attempts = text("max-attempts")
        .map(|given| values::whole32(given, 1..=u32::MAX).map_err(|allowed| wrong("max-attempts", given, &allowed)));
    let rate = text("rate").map(|given| values::letter_rate(given).map_err(|allowed| wrong("rate", given, &allowed)));
    let batches =
        text("batches").map(|given| values::letter_batches(given).map_err(|allowed| wrong("batches", given, &allowed)));
    let stale_keys = text("stale-keys")
        .map(|given| values::one_of(given, &StaleKeys::ALL).map_err(|allowed| wrong("stale-keys", given, &allowed)));
    let filter = filter::read(matches, sources)?;
    if matches!(filter.state, StateFilter::Closed | StateFilter::All) {
        return Err(CliError::Wrong("flag --state: only open letters can be redriven".to_owned()));
    }
    let topics = topics::Topics::read(sources)?;
    let place = filter::history_place(matches, sources)?;
    let target = match (switch("to-input"), text("mapped-by")) {
        (true, None) => RedriveTarget::Return,
        (true, Some(given)) => {
            return Err(wrong("version", given, "with --to-input, no version maps the records; leave out one of them"));
        }
        (false, given) => RedriveTarget::Map(version_choice(given, matches, sources, &place)?),
    };
    let failures = failures::config(sources)?;
    let times = readers::transaction_times(sources, &readers::kafka(sources)?.1, Delivery::ExactlyOnce)?;
    let config = RedriveConfig {
        filter,
        outputs: [topics.output].into_iter().chain(topics.extra).collect(),
        schemas: schemas::config_without_registrations(sources)?,
        ledger: sources.optional("ledger-topic", values::topic)?,
        consumer_group: place.group,
        guest: author::guest(sources)?,
        dead_letter_headers: failures.dead_letter_headers,
        provenance: readers::provenance(sources)?,
        connect_timeout: readers::connect_timeout(sources)?,
        transaction_timeout: times.timeout,
        commit_interval: times.commit_interval,
        commit_records: sources.value("commit-records", |text| values::count(text, 1..=u64::MAX))?,
        commit_bytes: sources.value("commit-bytes", |text| values::size(text, 1..=u64::MAX))?,
        max_attempts: max_attempts.transpose()?.unwrap_or(DEFAULT_MAX_ATTEMPTS),
        limit: if name == "edit" { None } else { filter::limit(matches)? },
        rate: rate.transpose()?,
        batches: batches.transpose()?.unwrap_or_default(),
        edited: None,
        stale_keys: stale_keys.transpose()?.unwrap_or_default(),
        yes: switch("yes"),
        stops_on_regression: switch("stop-on-regression"),
        takes_over: switch("take-over"),
        json: matches.get_flag("json"),
    };
    Ok(match (name == "try" || switch("dry-run"), target) {
        (true, RedriveTarget::Map(version)) => DlqCommand::Try { version, config: Box::new(config) },
        (true, RedriveTarget::Return) => {
            return Err(CliError::Wrong("flag --dry-run: it maps the letters; leave out --to-input".to_owned()));
        }
        (false, target) if name == "edit" => DlqCommand::Edit { config: Box::new(config), target },
        (false, target) => DlqCommand::Redrive { config: Box::new(config), target },
    })
}

/// The version that maps the letters. A flag is stronger than a `[[pipeline]]` table: it names a fix, not a default of all pipelines.
fn version_choice(
    digest: Option<&str>,
    matches: &ArgMatches,
    sources: &Sources<'_>,
    place: &HistoryPlace,
) -> Result<VersionChoice, CliError> {
    let place = place.clone();
    let file = matches.try_get_one::<PathBuf>("file").ok().flatten().cloned();
    match (digest, file) {
        (Some(given), None) => {
            let digest = given.to_ascii_lowercase();
            let is_digest = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_digest && (MIN_DIGEST..=DIGEST_DIGITS).contains(&digest.len()) {
                return Ok(VersionChoice::Earlier { digest, place });
            }
            Err(CliError::Wrong(format!(
                "flag --version: {given:?} is not allowed: give the digest of the version that maps the records, or its first {MIN_DIGEST} \
                 or more digits, as mapper-host history lists them. Letters of a version are selected with --failed-in"
            )))
        }
        (Some(given), Some(file)) => Err(CliError::Wrong(format!(
            "flag --version: {given:?} is not allowed: the file {} names another version. Leave out one of them; a group is given with \
             --group",
            file.display()
        ))),
        (None, Some(file)) => Ok(VersionChoice::File(file)),
        (None, None) => match sources.flag("plugin") {
            Some(given) => given.read(readers::path).map(VersionChoice::File),
            None => Ok(VersionChoice::Active { place, configured: sources.optional("plugin", readers::path)? }),
        },
    }
}
