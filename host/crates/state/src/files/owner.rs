//! Who can change or read a file, by its owner and mode.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::Stat;
use rustix::process::geteuid;

/// What decides who can do something with a file or directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

/// The users who could do anything in any case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trusted {
    /// The user of this process.
    pub(super) user: u32,
    /// The owner of `/`: root, or in a user namespace the number that stands for it.
    pub(super) root: u32,
}

/// Where a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On the way to the one that is meant.
    Parent,
    /// The one that is meant.
    Last,
}

const STICKY: u32 = 0o1000;
const WRITE_BY_OTHERS: u32 = 0o022;
const READ_OR_WRITE_BY_OTHERS: u32 = 0o066;

impl From<&Stat> for Access {
    fn from(stat: &Stat) -> Self {
        // The types of the fields differ from system to system.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        Self { owner: stat.st_uid, group: stat.st_gid, mode: stat.st_mode as u32 }
    }
}

impl Trusted {
    /// The user of this process, with the owner of `/`.
    pub(super) fn with_root(root: u32) -> Self {
        Self { user: geteuid().as_raw(), root }
    }

    pub(super) fn is_trusted(self, owner: u32) -> bool {
        [0, self.user, self.root].contains(&owner)
    }

    /// The bits of the mode that other users have. A group with the number of the user is the user's own: that is how `useradd`
    /// and images make them, and how Kubernetes gives a volume to a user (`fsGroup`).
    fn bits_of_others(self, access: Access) -> u32 {
        let is_own_group = access.group == self.user && self.user != 0;
        if is_own_group { access.mode & 0o007 } else { access.mode & 0o077 }
    }

    /// Why other users could exchange what is in a directory; `None` if they can't.
    pub(super) fn refuse_dir(self, access: Access, place: Place) -> Option<String> {
        if !self.is_trusted(access.owner) {
            return Some(format!("it belongs to another user (uid {})", access.owner));
        }
        let is_writable = self.bits_of_others(access) & WRITE_BY_OTHERS != 0;
        // Where the sticky bit is set, as in /tmp, others can add files, and neither remove nor rename those of other users.
        let is_sticky = place == Place::Parent && access.mode & STICKY != 0;
        (is_writable && !is_sticky).then(|| format!("other users can write to it (mode {:04o})", access.mode & 0o7777))
    }

    /// Why other users know what is in a file, or decide it; `None` if they don't.
    fn refuse_secret(self, access: Access) -> Option<String> {
        if !self.is_trusted(access.owner) {
            return Some(format!("it belongs to another user (uid {})", access.owner));
        }
        let is_open = self.bits_of_others(access) & READ_OR_WRITE_BY_OTHERS != 0;
        is_open.then(|| format!("other users can read or change it (mode {:04o})", access.mode & 0o7777))
    }
}

/// Checks that a file with a secret is this user's alone.
///
/// # Errors
/// When other users could read it or write to it.
pub fn check_secret(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let access = Access { owner: metadata.uid(), group: metadata.gid(), mode: metadata.mode() };
    let refused = Trusted::with_root(0).refuse_secret(access);
    refused.map_or(Ok(()), |why| Err(io::Error::new(io::ErrorKind::PermissionDenied, why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: u32 = 1000;
    const OTHER: u32 = 1001;

    fn access(owner: u32, group: u32, mode: u32) -> Access {
        Access { owner, group, mode }
    }

    #[test]
    fn directory_is_private_if_only_the_user_and_root_can_change_it() {
        let trusted = Trusted { user: USER, root: 0 };
        let is_private = |access, place| trusted.refuse_dir(access, place).is_none();
        for (owner, group, mode) in
            [(USER, 100, 0o700), (USER, 100, 0o755), (0, 0, 0o755), (USER, USER, 0o775), (0, USER, 0o2775)]
        {
            assert!(is_private(access(owner, group, mode), Place::Last), "{owner} {group} {mode:o}");
            assert!(is_private(access(owner, group, mode), Place::Parent), "{owner} {group} {mode:o}");
        }
        for (owner, group, mode) in
            [(OTHER, 100, 0o700), (USER, 100, 0o770), (USER, 100, 0o702), (0, 0, 0o775), (USER, USER, 0o777)]
        {
            assert!(!is_private(access(owner, group, mode), Place::Last), "{owner} {group} {mode:o}");
            assert!(!is_private(access(owner, group, mode), Place::Parent), "{owner} {group} {mode:o}");
        }
        // As /tmp is; what the host keeps must lie in a directory of its own there.
        assert!(is_private(access(0, 0, 0o1777), Place::Parent));
        assert!(!is_private(access(0, 0, 0o1777), Place::Last));
        assert!(!is_private(access(OTHER, 0, 0o1777), Place::Parent));
    }

    #[test]
    fn group_of_root_is_not_roots_own() {
        let trusted = Trusted { user: 0, root: 0 };
        assert!(trusted.refuse_dir(access(0, 0, 0o775), Place::Last).is_some());
        assert!(trusted.refuse_secret(access(0, 0, 0o640)).is_some());
    }

    #[test]
    fn owner_of_the_root_directory_is_trusted_as_in_a_user_namespace() {
        const NOBODY: u32 = 65534;
        let trusted = Trusted { user: USER, root: NOBODY };
        assert!(trusted.refuse_dir(access(NOBODY, NOBODY, 0o1777), Place::Parent).is_none());
        assert!(Trusted { user: USER, root: 0 }.refuse_dir(access(NOBODY, NOBODY, 0o755), Place::Parent).is_some());
    }

    #[test]
    fn secret_is_refused_if_others_can_read_or_change_it() {
        let trusted = Trusted { user: USER, root: 0 };
        for (owner, group, mode) in [(USER, 100, 0o600), (USER, 100, 0o400), (0, USER, 0o440), (USER, 100, 0o711)] {
            assert_eq!(trusted.refuse_secret(access(owner, group, mode)), None, "{owner} {group} {mode:o}");
        }
        for (owner, group, mode) in
            [(USER, 100, 0o644), (USER, 100, 0o640), (USER, 100, 0o602), (OTHER, USER, 0o600), (0, USER, 0o444)]
        {
            assert!(trusted.refuse_secret(access(owner, group, mode)).is_some(), "{owner} {group} {mode:o}");
        }
    }
}
