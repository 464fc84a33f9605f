//! The commands in the pages exist, with their flags.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    };
    let projects = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path().join("README.md"));
        entries.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let folders = ["plugins", "plugins/sdk", "plugins/templates"];
    let pages = [vec![root.join("README.md")], in_folder("docs"), in_folder("plugins")].concat();
    pages.into_iter().chain(folders.into_iter().flat_map(projects)).collect()
}

/// The environment of the commands.
const ENVIRONMENT: [(&str, &str); 2] = [("HOME", "/home/me"), ("REDACT_SECRET", "secret")];

/// The commands of the code blocks: lines that begin with the program, after a prompt or variables of the environment.
fn commands(page: &str) -> Vec<String> {
    let page = page.replace("\\\n", " ");
    let mut is_in_block = false;
    let mut commands = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            is_in_block = !is_in_block;
        }
        if !is_in_block && !line.starts_with("    ") {
            continue;
        }
        let line = line.trim_start().trim_start_matches("$ ").trim_start_matches("REDACT_SECRET=… ");
        let alone = line.split([';', '|', '<', '>', '#']).next().unwrap_or_default();
        let first = alone.split(" && ").next().unwrap_or_default().trim();
        if first.starts_with("mapper-host ") {
            commands.push(first.to_owned());
        }
    }
    commands
}

/// The arguments of a command as a shell passes them.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('\'').enumerate();
    let mut words = vec![String::new()];
    for (index, part) in parts {
        // Every second part is between quotes.
        let mut pieces = if index % 2 == 1 { vec![part] } else { part.split(' ').collect() }.into_iter();
        words.last_mut().unwrap().push_str(pieces.next().unwrap_or_default());
        words.extend(pieces.map(ToOwned::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn commands_in_pages_are_accepted() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        // A template names the project and its input by placeholders.
        let text = text.replace("{{name}}", "name").replace("{{input}}", "input");
        // The commands of a page use the settings file that the page shows.
        let settings =
            file(text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default());
        let exported = text.lines().filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='));
        let environment: Vec<(&str, &str)> = ENVIRONMENT.into_iter().chain(exported).collect();
        for command in commands(&text) {
            let command = command.replace("host.toml", settings.path().to_str().unwrap());
            let parsed = parse(words(&command).into_iter().map(OsString::from), environment.clone());
            if let Err(CliError::Wrong(message) | CliError::Setting { message, .. }) = parsed {
                panic!("{}: {command}: {message}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 60, "only {count} commands were found");
}
