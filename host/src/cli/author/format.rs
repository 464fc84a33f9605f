//! `--format`, `--format-out` and `--tombstone`: the format of a line.

use clap::{Arg, ArgMatches};

use super::{CliError, wrong};
use crate::config::{MapFormat, OutputFormat};

pub(super) fn argument() -> Arg {
    Arg::new("format").long("format").value_name("FORMAT").default_value("value").help(
        "The format of an input line. value: the value of a record. record: a record in JSON, with value, key, headers, \
         timestamp_ms, topic, partition and offset. dead-letter: the value of a dead letter, or all of it as such a \
         record; its input is mapped again",
    )
}

/// The further flags of `mapper-host map`.
pub(super) fn output_arguments() -> [Arg; 2] {
    [
        Arg::new("format-out").long("format-out").value_name("FORMAT").help(
            "The format of an output line. value: the value of an output. record: a record in JSON, with its key, headers \
             and timestamp [default: record with --format record, else value]",
        ),
        Arg::new("tombstone").long("tombstone").value_name("TEXT").allow_hyphen_values(true).help(
            "The line that stands for a record without a value (a tombstone), in and out, where lines are values. An empty \
             TEXT: a blank line [default: none in the input, null in the output]",
        ),
    ]
}

/// The format of an output line.
///
/// # Errors
/// If the format is unknown.
pub(super) fn read_output(matches: &ArgMatches, input: MapFormat) -> Result<OutputFormat, CliError> {
    match matches.get_one::<String>("format-out").map(String::as_str) {
        None if input == MapFormat::Record => Ok(OutputFormat::Record),
        None | Some("value") => Ok(OutputFormat::Value),
        Some("record") => Ok(OutputFormat::Record),
        Some(other) => Err(wrong("format-out", other, "give value or record")),
    }
}

/// The line that stands for a tombstone.
///
/// # Errors
/// If it contains a line break, or if no line is a value.
pub(super) fn read_tombstone(
    matches: &ArgMatches,
    input: MapFormat,
    output: OutputFormat,
) -> Result<Option<String>, CliError> {
    let Some(text) = matches.get_one::<String>("tombstone") else { return Ok(None) };
    if text.contains(['\n', '\r']) {
        return Err(wrong("tombstone", text, "give a text without line breaks, such as NULL"));
    }
    if input != MapFormat::Value && output != OutputFormat::Value {
        return Err(wrong("tombstone", text, "no line is a value here; records in JSON have \"value\": null"));
    }
    Ok(Some(text.clone()))
}

pub(super) fn read(matches: &ArgMatches) -> Result<MapFormat, CliError> {
    match matches.get_one::<String>("format").map(String::as_str) {
        None | Some("value") => Ok(MapFormat::Value),
        Some("record") => Ok(MapFormat::Record),
        Some("dead-letter") => Ok(MapFormat::DeadLetter),
        Some(other) => Err(wrong("format", other, "give value, record or dead-letter")),
    }
}
