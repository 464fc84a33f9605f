//! `dlq edit`: opens the value of a failed record in an editor, and redrives the record with the edited value.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use mapper_author::Outcome;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_dead_letters::selection::Position;
use mapper_terminal::output;

use super::states::{Access, who};
use super::{letters, redrive};
use crate::config::{EditedValue, RedriveConfig, RedriveTarget};

/// # Errors
/// If there is not exactly one such letter, the editor fails, or the redrive does.
pub(super) fn edit(
    access: Access,
    config: &RedriveConfig,
    target: &RedriveTarget,
    shutdown: &Shutdown,
) -> Result<Outcome, Halt> {
    let mut found: Vec<(Position, Option<Vec<u8>>)> = Vec::new();
    letters::select(&access, &config.filter, |letter, _| {
        let value = letter.input().ok().filter(|_| letter.is_complete()).and_then(|input| input.value);
        found.push((letter.position().into(), value));
        Ok(ControlFlow::Continue(()))
    })?;
    let (position, value) = match (found.pop(), found.is_empty()) {
        (Some(letter), true) => letter,
        (None, _) => return Err(letters::nothing(&access.dead_letters, &config.filter)),
        (Some(_), false) => {
            return Err(Halt::configuration("several open letters are of this record: name one by its own position"));
        }
    };
    let Some(value) = value else {
        return Err(Halt::configuration(format!("the letter {position} has no complete value to edit")));
    };
    let edited = open_editor(&value)?;
    if edited == value {
        output::print_line("the value is unchanged; nothing was written");
        return Ok(Outcome::Success);
    }
    let mut config = config.clone();
    config.filter.selection.position = Some(position);
    config.edited = Some(EditedValue { value: edited, by: who() });
    redrive::redrive(access, &config, target, shutdown)
}

/// Lets the user edit the value in a file that only the user can read.
fn open_editor(value: &[u8]) -> Result<Vec<u8>, Halt> {
    let failed = |error: std::io::Error| Halt::configuration(format!("the value could not be edited: {error}"));
    let dir = tempfile::tempdir().map_err(failed)?;
    let path = dir.path().join("value.json");
    std::fs::write(&path, value).map_err(failed)?;
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let status = run(&editor, &path).map_err(failed)?;
    if !status.success() {
        return Err(Halt::configuration(format!("the editor '{editor}' ended with {status}; nothing was written")));
    }
    let mut edited = std::fs::read(&path).map_err(failed)?;
    // Editors end the last line.
    if edited.last() == Some(&b'\n') && value.last() != Some(&b'\n') {
        edited.pop();
    }
    Ok(edited)
}

/// `$EDITOR` can have arguments, so the shell splits it.
fn run(editor: &str, path: &Path) -> std::io::Result<std::process::ExitStatus> {
    Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path).status()
}
