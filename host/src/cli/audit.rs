//! `mapper-host audit`: its arguments, read and checked.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::arguments::{AFTER, argument};
use super::readers::{self, connect_timeout, log};
use super::settings::AUDIT;
use super::sources::Sources;
use super::topics::Topics;
use super::{CliError, pipelines};
use crate::config::{AuditConfig, values};

const NO_BROKERS: &str = "give the brokers of the Kafka to audit with --brokers LIST, for example --brokers localhost:9092 \
    (or MAPPER_BROKERS)";
const NO_LEDGER: &str = "give the ledger of the pipeline with --ledger-topic TOPIC, as for mapper-host run. Without a ledger, there is \
    nothing to compare";
const SINCE_ALLOWED: &str = "give a time in RFC 3339, such as 2026-01-31T08:00:00Z, or how long ago, such as 2h";

pub(super) fn command() -> Command {
    Command::new("audit")
        .about("Compares the ledger of a pipeline with its offsets, outputs and dead letters")
        .override_usage("mapper-host audit --brokers LIST --ledger-topic TOPIC [OPTIONS]")
        .arg(Arg::new("since").long("since").value_name("TIME").help(
            "Audit only what was committed since this time: in RFC 3339, such as 2026-01-31T08:00:00Z, or how long ago, such as 2h",
        ))
        .arg(Arg::new("pipeline").long("pipeline").value_name("NAME").help("The pipeline, if the file of --config has several"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON, for programs"))
        .args(AUDIT.iter().map(argument))
        .after_help(AFTER)
}

/// Reads and checks.
///
/// # Errors
/// The first argument or setting that is wrong.
pub(super) fn config(matches: &ArgMatches, sources: &Sources<'_>) -> Result<AuditConfig, CliError> {
    let sources = &of_pipeline(matches, sources)?;
    let (brokers, kafka) = readers::kafka(sources)?;
    let topics = Topics::read(sources)?;
    let group = sources.present("group");
    let own_group = sources.table().and_then(|table| table.name.clone()).filter(|_| !group.explicit());
    let since = matches.get_one::<String>("since").map(|text| since(text)).transpose()?;
    Ok(AuditConfig {
        brokers: brokers.ok_or_else(|| CliError::Wrong(NO_BROKERS.to_owned()))?,
        kafka,
        connect_timeout: connect_timeout(sources)?,
        group: own_group.map_or_else(|| group.read(values::name), Ok)?,
        input_topics: topics.input,
        output_topics: [topics.output].into_iter().chain(topics.extra).collect(),
        dead_letter_topic: topics.dead_letters,
        ledger_topic: topics.ledger.ok_or_else(|| CliError::Wrong(NO_LEDGER.to_owned()))?,
        provenance: sources.value("provenance", |text| values::either(text, ["headers", "off"]))?,
        since_ms: since.map(|since| since.timestamp_millis()),
        json: matches.get_flag("json"),
        log: log(sources)?,
    })
}

/// The settings of the pipeline that is meant.
fn of_pipeline<'a>(matches: &ArgMatches, sources: &Sources<'a>) -> Result<Sources<'a>, CliError> {
    let name = matches.get_one::<String>("pipeline").map(|name| pipelines::name(name)).transpose()?;
    let tables = sources.file().map_or(&[][..], |file| &file.pipelines);
    let names: Vec<&str> = tables.iter().filter_map(|table| table.name.as_deref()).collect();
    let known = names.join(", ");
    match name {
        None if tables.is_empty() => Ok(sources.clone()),
        None if tables.len() == 1 => Ok(sources.of_table(0)),
        None => Err(CliError::Wrong(format!("the file has several pipelines: give one with --pipeline NAME: {known}"))),
        Some(_) if tables.is_empty() => Err(CliError::Wrong(
            "flag --pipeline: there is no [[pipeline]] table. Give a file with --config".to_owned(),
        )),
        Some(name) => match tables.iter().position(|table| table.name.as_deref() == Some(name.as_str())) {
            Some(table) => Ok(sources.of_table(table)),
            None => Err(CliError::Wrong(format!("flag --pipeline: {name:?} is not in the file. Give one of: {known}"))),
        },
    }
}

fn since(text: &str) -> Result<DateTime<Utc>, CliError> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.with_timezone(&Utc));
    }
    let ago = humantime::parse_duration(text).ok();
    let time = ago.and_then(|ago| SystemTime::now().checked_sub(ago));
    time.map(DateTime::from)
        .ok_or_else(|| CliError::Wrong(format!("flag --since: {text:?} is not allowed: {SINCE_ALLOWED}")))
}
