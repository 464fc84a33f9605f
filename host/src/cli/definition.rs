//! The command line as clap wants it, made from the table of settings.

use clap::{ArgAction, Command};

use super::arguments::{AFTER, argument};
use super::settings::{GENERATE, Kind, RUN, Standard};
use super::{author, pages, remote};

/// Wider than this, help is hard to read.
const HELP_COLUMNS: usize = 110;

const ABOUT: &str = "Runs a WebAssembly mapper between Kafka topics.

Without --brokers it is a demo on an embedded broker: visits are generated, mapped and shown.";

const USAGE: &str = "mapper-host [run] --plugin FILE [OPTIONS]
       mapper-host new NAME --lang LANGUAGE
       mapper-host build DIR [--watch]
       mapper-host test [DIR|FILE]...
       mapper-host map FILE [INPUT]...
       mapper-host check FILE
       mapper-host bench FILE
       mapper-host generate --brokers LIST [OPTIONS]
       mapper-host swap FILE | rollback | history | shadow FILE";

/// The whole command line.
pub(super) fn command() -> Command {
    let command = Command::new("mapper-host")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .max_term_width(HELP_COLUMNS)
        .override_usage(USAGE)
        // `run` is the default: its flags are those of the program itself.
        .args(RUN.iter().map(argument))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true);
    let run = Command::new("run").about("Maps the records of a topic; what mapper-host does when no command is given");
    let generate = Command::new("generate").about("Fills a topic with visits, as the reference generator does");
    command
        .subcommand(
            run.override_usage("mapper-host run --plugin FILE [OPTIONS]")
                .args(RUN.iter().map(argument))
                .after_help(AFTER),
        )
        .subcommands(author::commands())
        .subcommand(
            generate
                .override_usage("mapper-host generate --brokers LIST [OPTIONS]")
                .args(GENERATE.iter().map(argument))
                .after_help(AFTER),
        )
        .subcommands(pages::commands())
        .subcommands(remote::commands())
}

/// A Markdown table of all settings of `mapper-host run`: flag, variable, default, and what it is. The README shows it.
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
