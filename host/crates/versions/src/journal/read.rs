//! Reads the file of a history.

use std::io::ErrorKind;

use super::{DAMAGED, FILE, LIMIT};
use crate::history::History;
use mapper_state::files::PrivateDir;

/// The first line that is no event.
struct DamagedLine {
    /// From 1.
    number: usize,
    error: serde_json::Error,
}

/// Reads the history. A crash can truncate the last line, which is skipped. A file with another damage is copied aside.
pub(super) fn read(dir: &PrivateDir) -> anyhow::Result<History> {
    let bytes = match dir.read(FILE, LIMIT) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(History::default()),
        bytes => bytes?,
    };
    let (history, damaged) = parse(&bytes);
    if let Some(DamagedLine { number, error }) = damaged {
        let aside = dir.path().join(DAMAGED);
        tracing::warn!(path = %dir.path().join(FILE).display(), line = number, %error, aside = %aside.display(),
            "the history of versions is damaged; copied it aside, and continued from the line before");
        dir.write(DAMAGED, &bytes)?;
    }
    Ok(history)
}

/// Reads the history of another process, and changes nothing. `None` if there is no file.
///
/// # Errors
/// If the file can't be read or is damaged.
pub fn read_unchanged(dir: &PrivateDir) -> anyhow::Result<Option<History>> {
    let path = || dir.path().join(FILE);
    let bytes = match dir.read(FILE, LIMIT) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => anyhow::bail!("{}: {error}", path().display()),
        Ok(bytes) => bytes,
    };
    match parse(&bytes) {
        (history, None) => Ok(Some(history)),
        (_, Some(DamagedLine { number, error })) => {
            anyhow::bail!("{}: line {number} is damaged: {error}", path().display())
        }
    }
}

/// The history up to the first damaged line.
fn parse(bytes: &[u8]) -> (History, Option<DamagedLine>) {
    // Invalid UTF-8 makes a damaged line, too.
    let text = String::from_utf8_lossy(bytes);
    let mut history = History::default();
    let mut lines = text.split_inclusive('\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        match serde_json::from_str(line) {
            Ok(event) => history.apply(event),
            // A crash has truncated it, or the host is writing it.
            Err(_) if lines.peek().is_none() && !line.ends_with('\n') => break,
            Err(error) => return (history, Some(DamagedLine { number: index + 1, error })),
        }
    }
    (history, None)
}
