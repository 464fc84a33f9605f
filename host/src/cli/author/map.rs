//! `mapper-host map`.

use clap::{Arg, ArgMatches, Command};

use super::super::sources::Sources;
use super::{CliError, arguments, format, guest, path, readers, settings, switch, wrong};
use crate::config::{MapConfig, MapInput, TopicInput, values};

const NO_BROKERS: &str =
    "flag --from-topic: it needs a Kafka; give it with --brokers LIST, for example --brokers localhost:9092";
const TWO_INPUTS: &str = "flag --from-topic: there are input files, too; give one or the other";

pub(super) fn command() -> Command {
    Command::new("map")
        .about("Maps lines of JSON, like jq: outputs go to stdout, failures to stderr")
        .override_usage("mapper-host map FILE [INPUT]... [OPTIONS]")
        .arg(path("plugin", "FILE").required(true).help("The plugin"))
        .arg(path("input", "INPUT").num_args(0..).help("Files of records, a line each; none, or -, is standard input"))
        .arg(format::argument())
        .args(format::output_arguments())
        .arg(Arg::new("from-topic").long("from-topic").value_name("TOPIC").help(
            "Map the records of a topic, from its beginning to its present end. The command writes and commits nothing",
        ))
        .arg(Arg::new("limit").long("limit").value_name("N").help("End after this many records"))
        .arg(switch("stats").help("Print counts and times on stderr at the end"))
        .arg(switch("verbose").short('v').help("Print the backtrace and the log lines of each failure"))
        .args(settings::MAP.iter().map(arguments::argument))
        .after_help(arguments::AFTER)
}

/// Reads and checks.
///
/// # Errors
/// The first argument or setting that is wrong.
pub(super) fn config(matches: &ArgMatches, sources: &Sources<'_>) -> Result<MapConfig, CliError> {
    let text = |name: &str| matches.get_one::<String>(name);
    let format = format::read(matches)?;
    let output_format = format::read_output(matches, format)?;
    let limit =
        text("limit").map(|text| values::whole(text, 1..=u64::MAX).map_err(|allowed| wrong("limit", text, &allowed)));
    let files: Vec<_> = matches.get_many("input").into_iter().flatten().cloned().collect();
    let input = match text("from-topic") {
        None => MapInput::Files(files),
        Some(_) if !files.is_empty() => return Err(CliError::Wrong(TWO_INPUTS.to_owned())),
        Some(topic) => {
            let topic = values::topic(topic).map_err(|allowed| wrong("from-topic", topic, &allowed))?;
            let (brokers, kafka) = readers::kafka(sources)?;
            let brokers = brokers.ok_or_else(|| CliError::Wrong(NO_BROKERS.to_owned()))?;
            MapInput::Topic(TopicInput { topic, brokers, kafka, connect_timeout: readers::connect_timeout(sources)? })
        }
    };
    Ok(MapConfig {
        plugin: matches.get_one("plugin").cloned().unwrap_or_default(),
        input,
        format,
        output_format,
        tombstone: format::read_tombstone(matches, format, output_format)?,
        limit: limit.transpose()?,
        stats: matches.get_flag("stats"),
        verbose: matches.get_flag("verbose"),
        guest: guest(sources)?,
    })
}
