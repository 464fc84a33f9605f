//! The command line for clap, from the table of settings.

use clap::Command;

use super::arguments::{AFTER, argument};
use super::settings::{GENERATE, RUN};
use super::{audit, author, console, dlq, pages, remote};

/// Wider than this, help is hard to read.
const HELP_COLUMNS: usize = 110;

const ABOUT: &str = "Runs a WebAssembly mapper between Kafka topics.

Without --brokers it is a demo on an embedded broker: it generates visits, maps them and shows the results.";

const USAGE: &str = "mapper-host COMMAND [OPTIONS]
       mapper-host --plugin FILE [OPTIONS]    (the same as mapper-host run)";

/// The groups of commands in the overview: a title, and the names in order.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Run", &["run", "generate"]),
    ("Develop plugins", &["new", "build", "test", "map", "check", "bench"]),
    ("Check what was delivered", &["audit"]),
    ("Operate a running host", &["status", "swap", "rollback", "history", "shadow", "console"]),
    ("Work with dead letters", &["dlq"]),
    ("Set up the shell", &["completions", "man"]),
];

const MORE: &str =
    "mapper-host COMMAND --help lists the options of a command; mapper-host run --help lists the settings.";

/// The whole command line.
pub(super) fn command() -> Command {
    let run = Command::new("run").about("Maps the records of a topic; the default command");
    let generate = Command::new("generate").about("Fills a topic with visits, as the reference generator does");
    let command = Command::new("mapper-host")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(MORE)
        .max_term_width(HELP_COLUMNS)
        .override_usage(USAGE)
        // `run` is the default, so its flags are those of the program, too. Only the help of `run` lists them.
        .args(RUN.iter().map(|setting| argument(setting).hide(true)))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
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
        .subcommand(audit::command())
        .subcommands(remote::commands())
        .subcommand(console::command())
        .subcommand(dlq::command())
        .subcommands(pages::commands());
    let overview = overview(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{overview}Options:\n{{options}}{{after-help}}"
    ))
}

/// The commands in their groups, one a line. clap has no groups of commands.
fn overview(command: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        text += &format!("{title}:\n");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about).map(ToString::to_string);
            text += &format!("  {name:<12} {}\n", about.unwrap_or_default());
        }
        text += "\n";
    }
    text
}
