//! The command line as clap wants it, made from the table of settings.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};

use super::settings::{GENERATE, Kind, OPTIONS, RUN, Setting, Standard};
use super::{author, pages, remote};

/// Wider than this, help is hard to read.
const HELP_COLUMNS: usize = 110;

pub(super) const AFTER: &str =
    "Every setting is a flag, an environment variable or a key of the file given with --config; a flag \
    beats a variable, which beats the file. Durations have a unit (100ms, 1s, 2m), sizes may have one (64KiB, 16MiB, \
    1GiB; without one: bytes). Relative paths start at the working directory.

Exit codes: 0 all is done, or ended as asked; 1 internal error; 2 bad configuration; 3 plugin refused; 4 Kafka \
    unreachable for good, or refuses; 5 the plugin fails on too much. host test: 1 a case doesn't hold. host map: 10 a \
    record could not be mapped.";

const ABOUT: &str = "Runs a WebAssembly mapper between Kafka topics.

Without --brokers it is a demo on an embedded broker: visits are generated, mapped and shown.";

const USAGE: &str = "host [run] --plugin FILE [OPTIONS]
       host new NAME --lang LANGUAGE
       host build DIR [--watch]
       host test [DIR|FILE]...
       host map FILE [INPUT]...
       host check FILE
       host bench FILE
       host generate --brokers LIST [OPTIONS]
       host swap FILE | rollback | history | shadow FILE";

/// The whole command line.
pub(super) fn command() -> Command {
    let command = Command::new("host")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .max_term_width(HELP_COLUMNS)
        .override_usage(USAGE)
        // `run` is the default: its flags are those of the program itself.
        .args(RUN.iter().map(argument))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true);
    let run = Command::new("run").about("Maps the records of a topic; what host does when no command is given");
    let generate = Command::new("generate").about("Fills a topic with visits, as the reference generator does");
    command
        .subcommand(
            run.override_usage("host run --plugin FILE [OPTIONS]").args(RUN.iter().map(argument)).after_help(AFTER),
        )
        .subcommands(author::commands())
        .subcommand(
            generate
                .override_usage("host generate --brokers LIST [OPTIONS]")
                .args(GENERATE.iter().map(argument))
                .after_help(AFTER),
        )
        .subcommands(pages::commands())
        .subcommands(remote::commands())
}

pub(super) fn path(argument: Arg) -> Arg {
    argument.value_parser(clap::value_parser!(PathBuf))
}

/// All values are text to clap: they are read where those of variables and of the file are, with the same messages.
pub(super) fn argument(setting: &Setting) -> Arg {
    let argument = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.placeholder)
        .help(help(setting))
        // Without a heading, clap lists it with its own options.
        .help_heading((setting.heading != OPTIONS).then_some(setting.heading))
        .value_parser(ValueParser::string());
    match setting.kind {
        // `--until-end` is true, and `--until-end=false` takes back what a variable or the file says.
        Kind::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::List | Kind::Pairs => argument.action(ArgAction::Append).allow_hyphen_values(true),
        // A value such as -1 is for us to refuse, with what is allowed.
        Kind::Whole | Kind::Number => argument.allow_negative_numbers(true),
        Kind::Text | Kind::Duration | Kind::Size => argument,
    }
}

fn help(setting: &Setting) -> String {
    let default = setting.default_text().map_or_else(String::new, |text| format!("[default: {text}] "));
    format!("{}\n{default}[env: {}]", setting.help, setting.variable())
}

/// A Markdown table of all settings of `host run`: flag, variable, default, and what it is. The README shows it.
pub fn settings_table() -> String {
    let mut table = String::from("| flag | variable | default | what |\n|---|---|---|---|\n");
    let command = command();
    for setting in RUN.iter() {
        let placeholder = match setting.kind {
            Kind::Switch => String::new(),
            _ => format!(" {}", setting.placeholder),
        };
        let repeated = command
            .get_arguments()
            .find(|argument| argument.get_id() == setting.name)
            .is_some_and(|argument| matches!(argument.get_action(), ArgAction::Append));
        let more = if repeated { "…" } else { "" };
        let default = match setting.standard {
            Standard::Value(text) => format!("`{text}`"),
            Standard::Told(text) => text.to_owned(),
            Standard::Required => "must be given".to_owned(),
            Standard::Empty => "none".to_owned(),
        };
        let row = format!(
            "| `--{}{placeholder}`{more} | `{}` | {default} | {} |\n",
            setting.name,
            setting.variable(),
            setting.help.replace('|', "\\|")
        );
        table.push_str(&row);
    }
    table
}
