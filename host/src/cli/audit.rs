//! `mapper-host audit`: its arguments, read and checked.

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
    let sources = &pipelines::select(sources.clone(), matches)?;
    let (brokers, kafka) = readers::kafka(sources)?;
    let topics = Topics::read(sources)?;
    let since = matches.get_one::<String>("since").map(|text| {
        values::past(text)
            .ok_or_else(|| CliError::Wrong(format!("flag --since: {text:?} is not allowed: {SINCE_ALLOWED}")))
    });
    Ok(AuditConfig {
        brokers: brokers.ok_or_else(|| CliError::Wrong(NO_BROKERS.to_owned()))?,
        kafka,
        connect_timeout: connect_timeout(sources)?,
        group: readers::group(sources)?,
        input_topics: topics.input,
        output_topics: [topics.output].into_iter().chain(topics.extra).collect(),
        dead_letter_topic: topics.dead_letters,
        state_topic: topics.states,
        ledger_topic: topics.ledger.ok_or_else(|| CliError::Wrong(NO_LEDGER.to_owned()))?,
        provenance: readers::provenance(sources)?,
        since_ms: since.transpose()?.map(|since| since.timestamp_millis()),
        max_kept_records: None,
        json: matches.get_flag("json"),
        log: log(sources)?,
    })
}
