//! Detects that a file has changed and has settled, from its metadata.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Metadata that changes with every change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    /// Reads the metadata of the target of a path; `None` if it does not exist.
    pub(super) fn read(path: &Path) -> Option<Self> {
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

/// The next action of the watch thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// Check again after this time at the latest.
    Wait(Duration),
    /// The file has changed and has settled.
    Read,
    /// Returned once after the file was deleted.
    Deleted,
}

#[derive(Debug)]
pub(super) struct ChangeDetector {
    settle_time: Duration,
    settle_time_open: Duration,
    /// The last signature that was read, or the one at the start.
    read: Option<Signature>,
    /// The last changed signature, and since when it is unchanged.
    changed: Option<(Signature, Instant)>,
    is_deleted: bool,
}

impl ChangeDetector {
    pub(super) fn new(read: Option<Signature>, settle_time: Duration, settle_time_open: Duration) -> Self {
        Self { settle_time, settle_time_open, read, changed: None, is_deleted: false }
    }

    /// `being_written` is true while a writer has the file open.
    pub(super) fn check(&mut self, signature: Option<Signature>, being_written: bool, now: Instant) -> Next {
        let Some(signature) = signature else {
            self.changed = None;
            return if std::mem::replace(&mut self.is_deleted, true) { Next::Nothing } else { Next::Deleted };
        };
        self.is_deleted = false;
        if self.read == Some(signature) {
            self.changed = None;
            return Next::Nothing;
        }
        let since = match self.changed {
            Some((last, since)) if last == signature => since,
            _ => now,
        };
        self.changed = Some((signature, since));
        let settle_time = if being_written { self.settle_time_open } else { self.settle_time };
        let left = settle_time.saturating_sub(now.saturating_duration_since(since));
        if !left.is_zero() {
            return Next::Wait(left);
        }
        self.changed = None;
        self.read = Some(signature);
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
    fn changed_file_is_read_once_after_it_has_settled() {
        let mut detector = ChangeDetector::new(signature(1, 10), 300 * MS, 10_000 * MS);
        let start = Instant::now();
        let mut check = |signature, ms: u32| detector.check(signature, false, start + ms * MS);
        assert_eq!(check(signature(1, 10), 0), Next::Nothing);
        assert_eq!(check(signature(1, 0), 100), Next::Wait(300 * MS));
        assert_eq!(check(signature(1, 20), 350), Next::Wait(300 * MS));
        assert_eq!(check(signature(1, 20), 600), Next::Wait(50 * MS));
        assert_eq!(check(signature(1, 20), 650), Next::Read);
        assert_eq!(check(signature(1, 20), 9000), Next::Nothing);
    }

    #[test]
    fn open_file_has_a_longer_settle_time() {
        let mut detector = ChangeDetector::new(signature(1, 10), 300 * MS, 10_000 * MS);
        let start = Instant::now();
        assert_eq!(detector.check(signature(1, 5), true, start), Next::Wait(10_000 * MS));
        assert_eq!(detector.check(signature(1, 5), true, start + 9_000 * MS), Next::Wait(1_000 * MS));
        // The writer closes the file.
        assert_eq!(detector.check(signature(1, 5), false, start + 9_001 * MS), Next::Read);
        assert_eq!(detector.check(signature(1, 6), true, start + 10_000 * MS), Next::Wait(10_000 * MS));
        assert_eq!(detector.check(signature(1, 6), true, start + 20_000 * MS), Next::Read);
    }

    #[test]
    fn deleted_file_is_reported_once_and_new_file_is_read() {
        let mut detector = ChangeDetector::new(signature(1, 10), 300 * MS, 10_000 * MS);
        let start = Instant::now();
        assert_eq!(detector.check(None, false, start), Next::Deleted);
        assert_eq!(detector.check(None, false, start + MS), Next::Nothing);
        assert_eq!(detector.check(signature(2, 10), false, start + 2 * MS), Next::Wait(300 * MS));
        assert_eq!(detector.check(signature(2, 10), false, start + 302 * MS), Next::Read);
    }

    #[test]
    fn signature_changes_with_rename_delete_and_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugin.wasm");
        fs::write(&path, "one").unwrap();
        let first = Signature::read(&path);
        assert_eq!(Signature::read(&path), first);
        // A rename; the size is the same.
        fs::write(dir.path().join("new"), "two").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        let second = Signature::read(&path);
        assert_ne!(second, first);
        // A symbolic link to another file.
        fs::write(dir.path().join("other"), "two").unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(Signature::read(&path), None);
        std::os::unix::fs::symlink(dir.path().join("other"), &path).unwrap();
        assert_ne!(Signature::read(&path), second);
    }
}
