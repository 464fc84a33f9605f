//! What a file looks like from outside, and what that says: has it changed, and has it been left alone since.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    /// Of what the path leads to; `None` if there is nothing.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing has changed.
    Nothing,
    /// Look again after this time at the latest.
    Wait(Duration),
    /// It has changed, and was left alone since.
    Read,
    /// It was there, and is not any more.
    Gone,
}

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Look {
    settled_after: Duration,
    unclosed: Duration,
    /// What was read last, or what the host was started with.
    read: Option<Signature>,
    /// What was seen last, and since when.
    seen: Option<(Signature, Instant)>,
    gone: bool,
}

impl Look {
    pub(super) fn new(read: Option<Signature>, settled_after: Duration, unclosed: Duration) -> Self {
        Self { settled_after, unclosed, read, seen: None, gone: false }
    }

    /// Looks at it now. `being_written`: somebody has begun to write and not closed it, as far as one is told.
    pub(super) fn at(&mut self, now_is: Option<Signature>, being_written: bool, now: Instant) -> Next {
        let Some(now_is) = now_is else {
            self.seen = None;
            return if std::mem::replace(&mut self.gone, true) { Next::Nothing } else { Next::Gone };
        };
        self.gone = false;
        if self.read == Some(now_is) {
            self.seen = None;
            return Next::Nothing;
        }
        let since = match self.seen {
            Some((seen, since)) if seen == now_is => since,
            _ => now,
        };
        self.seen = Some((now_is, since));
        let patience = if being_written { self.unclosed } else { self.settled_after };
        let left = patience.saturating_sub(now.saturating_duration_since(since));
        if !left.is_zero() {
            return Next::Wait(left);
        }
        self.seen = None;
        self.read = Some(now_is);
        Next::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(inode: u64, bytes: u64) -> Option<Signature> {
        Some(Signature { device: 1, inode, bytes, modified: (0, 0), changed: (0, 0) })
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_change_is_read_once_it_has_settled() {
        let mut look = Look::new(signature(1, 10), 300 * MS, 10_000 * MS);
        let start = Instant::now();
        let mut at = |signature, ms: u32| look.at(signature, false, start + ms * MS);
        assert_eq!(at(signature(1, 10), 0), Next::Nothing);
        assert_eq!(at(signature(1, 0), 100), Next::Wait(300 * MS));
        assert_eq!(at(signature(1, 20), 350), Next::Wait(300 * MS));
        assert_eq!(at(signature(1, 20), 600), Next::Wait(50 * MS));
        assert_eq!(at(signature(1, 20), 650), Next::Read);
        assert_eq!(at(signature(1, 20), 9000), Next::Nothing);
    }

    #[test]
    fn one_that_is_being_written_is_waited_for_longer_but_not_for_ever() {
        let mut look = Look::new(signature(1, 10), 300 * MS, 10_000 * MS);
        let start = Instant::now();
        assert_eq!(look.at(signature(1, 5), true, start), Next::Wait(10_000 * MS));
        assert_eq!(look.at(signature(1, 5), true, start + 9_000 * MS), Next::Wait(1_000 * MS));
        // It was closed.
        assert_eq!(look.at(signature(1, 5), false, start + 9_001 * MS), Next::Read);
        assert_eq!(look.at(signature(1, 6), true, start + 10_000 * MS), Next::Wait(10_000 * MS));
        assert_eq!(look.at(signature(1, 6), true, start + 20_000 * MS), Next::Read);
    }

    #[test]
    fn one_that_is_gone_is_said_once_and_one_that_comes_back_is_read() {
        let mut look = Look::new(signature(1, 10), 300 * MS, 10_000 * MS);
        let start = Instant::now();
        assert_eq!(look.at(None, false, start), Next::Gone);
        assert_eq!(look.at(None, false, start + MS), Next::Nothing);
        assert_eq!(look.at(signature(2, 10), false, start + 2 * MS), Next::Wait(300 * MS));
        assert_eq!(look.at(signature(2, 10), false, start + 302 * MS), Next::Read);
    }

    #[test]
    fn a_signature_changes_with_every_way_to_replace_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugin.wasm");
        fs::write(&path, "one").unwrap();
        let first = Signature::of(&path);
        assert_eq!(Signature::of(&path), first);
        // The same size, by a rename.
        fs::write(dir.path().join("new"), "two").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        let second = Signature::of(&path);
        assert_ne!(second, first);
        // As a link to another.
        fs::write(dir.path().join("other"), "two").unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(Signature::of(&path), None);
        std::os::unix::fs::symlink(dir.path().join("other"), &path).unwrap();
        assert_ne!(Signature::of(&path), second);
    }
}
