//! Settings as arguments of clap.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction};

use super::settings::{Kind, OPTIONS, Setting};

/// The text below the help of `run` and of other commands with settings.
pub(super) const AFTER: &str =
    "Every setting is a flag, an environment variable, or a key of the file given with --config. A flag overrides a \
    variable, which overrides the file. Durations have a unit (100ms, 1s, 2m). Sizes may have one (64KiB, 16MiB, 1GiB); \
    without a unit they are bytes. Relative paths start at the working directory.

Exit codes: 0 success or clean shutdown; 1 internal error; 2 bad configuration; 3 plugin refused; 4 Kafka unreachable or \
    fatal Kafka error; 5 the plugin fails too often; mapper-host test: 1 a case fails; mapper-host map: 10 a record could not \
    be mapped.";

pub(super) fn path(argument: Arg) -> Arg {
    argument.value_parser(clap::value_parser!(PathBuf))
}

/// All values are text for clap. The code that reads variables and the file parses them, with the same messages.
pub(super) fn argument(setting: &Setting) -> Arg {
    let argument = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.placeholder)
        .help(help(setting))
        // Without a heading, clap lists it with its own options.
        .help_heading((setting.heading != OPTIONS).then_some(setting.heading))
        .value_parser(ValueParser::string());
    match setting.kind {
        // `--until-end` is true, and `--until-end=false` overrides a variable or the file.
        Kind::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::List | Kind::Topics | Kind::Pairs => argument.action(ArgAction::Append).allow_hyphen_values(true),
        // The check of the limits refuses a value such as -1.
        Kind::Whole | Kind::Number => argument.allow_negative_numbers(true),
        Kind::Text | Kind::Duration | Kind::Size => argument,
    }
}

fn help(setting: &Setting) -> String {
    let default = setting.default_text().map_or_else(String::new, |text| format!("[default: {text}] "));
    format!("{}\n{default}[env: {}]", setting.help, setting.variable())
}
