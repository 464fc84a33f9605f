//! `mapper-host new`.

use clap::{Arg, ArgMatches, Command};
use mapper_core::suggestion::closest;

use super::{CliError, given_path, path, switch, wrong};
use crate::config::NewConfig;
use mapper_author::templates::{Language, Template};

pub(super) fn command() -> Command {
    Command::new("new")
        .about("Creates a plugin project: a mapper with its cases")
        .arg(path("dir", "NAME").required(true).help("The new folder; its last part is the name of the project"))
        .arg(
            Arg::new("lang")
                .long("lang")
                .value_name("LANGUAGE")
                .required(true)
                .help(format!("The language: {}", languages())),
        )
        .arg(switch("bare").help("Create a mapper that returns its records unchanged, without the example of visits"))
}

fn languages() -> String {
    let names: Vec<_> = Language::all().map(Language::name).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// Reads and checks.
///
/// # Errors
/// If the language is unknown.
pub(super) fn config(matches: &ArgMatches) -> Result<NewConfig, CliError> {
    // clap requires one of them.
    let dir = given_path(matches, "dir").unwrap_or_default();
    let language = matches.get_one::<String>("lang").map(String::as_str).unwrap_or_default();
    let Some(language) = Language::from_name(language) else {
        let hint = closest(language, Language::all().map(|known| known.name().to_owned()));
        let hint = hint.map_or_else(String::new, |name| format!("; did you mean {name}?"));
        return Err(wrong("lang", language, &format!("give {}{hint}", languages())));
    };
    let template = if matches.get_flag("bare") { Template::Bare } else { Template::Visits };
    Ok(NewConfig { dir, language, template })
}
