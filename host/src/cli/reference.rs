//! `docs/settings.md`, from the command line that clap parses.

use clap::{Arg, ArgAction, Command};

use super::arguments::argument;
use super::definition;
use super::settings::{GENERATE, Kind, RUN, Setting, Standard};

const HEAD: &str = "# Settings

Every setting is a flag, an environment variable, and a key in the TOML file that `--config` names. A flag overrides a variable, which
overrides the file. The keys of the file are the flags without the dashes in front; `[kafka]` and `[set]` are tables:

```toml
plugin = \"plugins/reduce_visit.wasm\"
brokers = \"localhost:9092\"
workers = 4
extra-topic = [\"bots\", \"crawlers\"]

[kafka]
\"security.protocol\" = \"ssl\"

[set]
field = \"page\"
```

- Durations have a unit: `100ms`, `1s`, `2m`. Sizes may have one: `64KiB`, `16MiB`, `1GiB`; without a unit they are bytes.
- Relative paths start at the working directory.
- A switch may have a value: `--until-end` is `--until-end=true`, and `--until-end=false` overrides a variable or the file.
- A setting with … may be given several times. The values of the strongest source replace those of the others.
- A variable that begins with `MAPPER_` and is no setting is refused. The variables that Kubernetes sets for a Service called `mapper` or
  `mapper-…`, such as `MAPPER_PORT=tcp://10.0.0.1:80`, are ignored.

`mapper-host COMMAND --help` shows the same. [Operations](operations.md#exit-codes) lists the exit codes.
";

/// The page.
fn settings_page() -> String {
    let command = definition::command();
    let mut page = HEAD.to_owned();
    page += "\n## mapper-host run\n";
    let mut heading = "";
    for setting in RUN.iter() {
        if setting.heading != heading {
            heading = setting.heading;
            page += &format!("\n### {heading}\n\n{SETTINGS_HEAD}");
        }
        page += &row(setting);
    }
    page += &format!("\n## mapper-host generate\n\nBesides the settings that it shares with `run`:\n\n{SETTINGS_HEAD}");
    for setting in GENERATE.iter().filter(|setting| !is_of_run(setting.name)) {
        page += &row(setting);
    }
    let others = command.get_subcommands().filter(|command| !["run", "generate"].contains(&command.get_name()));
    others.for_each(|command| page += &sections(command, command.get_name()));
    page
}

const SETTINGS_HEAD: &str = "| flag | variable | default | meaning |\n|---|---|---|---|\n";

fn is_of_run(name: &str) -> bool {
    RUN.iter().any(|setting| setting.name == name)
}

/// Whether an argument means the same as the one of `run` with its name, and has the same default.
fn is_as_in_run(own: &Arg) -> bool {
    let text = |argument: &Arg| argument.get_help().map(ToString::to_string);
    let same = |setting: &Setting| own.get_long() == Some(setting.name) && text(own) == text(&argument(setting));
    RUN.iter().any(same)
}

fn row(setting: &Setting) -> String {
    let placeholder = match setting.kind {
        Kind::Switch => String::new(),
        _ => format!(" {}", setting.placeholder),
    };
    let repeated = if matches!(setting.kind, Kind::List | Kind::Topics | Kind::Pairs) { "…" } else { "" };
    let default = match setting.standard {
        Standard::Value(text) => format!("`{text}`"),
        Standard::Described(text) => text.to_owned(),
        Standard::Required => "required".to_owned(),
        Standard::Empty => "none".to_owned(),
    };
    let (name, variable, help) = (setting.name, setting.variable(), cell(setting.help));
    format!("| `--{name}{placeholder}`{repeated} | `{variable}` | {default} | {help} |\n")
}

/// A command and its commands.
fn sections(command: &Command, name: &str) -> String {
    let own = section(command, name);
    let below = command.get_subcommands().map(|below| sections(below, &format!("{name} {}", below.get_name())));
    [own].into_iter().chain(below).collect()
}

/// A command with its own arguments; those of `run` are only named.
fn section(command: &Command, title: &str) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("\n## mapper-host {title}\n\n{about}.\n");
    let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| argument.get_id() != "help").collect();
    let (shared, own): (Vec<&Arg>, Vec<&Arg>) = arguments.into_iter().partition(|argument| is_as_in_run(argument));
    if !own.is_empty() {
        text += "\n| argument | meaning |\n|---|---|\n";
    }
    for argument in own {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        text += &format!("| {} | {} |\n", name(argument), cell(&help));
    }
    if !shared.is_empty() {
        let names: Vec<String> = shared.iter().map(|argument| format!("`--{}`", argument.get_id())).collect();
        text += &format!("\nAs for `run`: {}.\n", names.join(", "));
    }
    text
}

fn name(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    let more = if matches!(argument.get_action(), ArgAction::Append) { "…" } else { "" };
    let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    match argument.get_long() {
        Some(long) if argument.get_action().takes_values() => format!("{short}`--{long} {value}`{more}"),
        Some(long) => format!("{short}`--{long}`"),
        None => format!("`{}`{more}", cell(&value)),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[test]
fn settings_page_follows_from_the_command_line() {
    harness::pages::check("settings.md", &settings_page());
}
