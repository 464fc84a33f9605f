//! `--format`: what a line of input is.

use clap::{Arg, ArgMatches};

use super::{CliError, wrong};
use crate::config::MapFormat;

pub(super) fn argument() -> Arg {
    Arg::new("format").long("format").value_name("FORMAT").default_value("value").help(
        "What a line is. value: the value of a record, and the values of the outputs are printed. record: a record in JSON, \
         with value, key, headers, timestamp_ms, topic, partition and offset, and so are the outputs. dead-letter: the \
         value of a dead letter, whose input is mapped again",
    )
}

pub(super) fn read(matches: &ArgMatches) -> Result<MapFormat, CliError> {
    match matches.get_one::<String>("format").map(String::as_str) {
        None | Some("value") => Ok(MapFormat::Value),
        Some("record") => Ok(MapFormat::Record),
        Some("dead-letter") => Ok(MapFormat::DeadLetter),
        Some(other) => Err(wrong("format", other, "give value, record or dead-letter")),
    }
}
