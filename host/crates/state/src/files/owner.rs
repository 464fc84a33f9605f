//! Decides from owner and mode whether other users can read or change a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::Stat;
use rustix::process::geteuid;

#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

/// Users that the host has to trust: they can change its files anyway.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trusted {
    /// The user of this process.
    pub(super) user: u32,
    /// The owner of `/`: root, or the uid that root is mapped to in a user namespace.
    pub(super) root: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DirRole {
    /// An ancestor of the target.
    Ancestor,
    /// The directory to use.
    Target,
}

const STICKY: u32 = 0o1000;
const WRITE_BY_OTHERS: u32 = 0o022;
const READ_OR_WRITE_BY_OTHERS: u32 = 0o066;

impl From<&Stat> for Access {
    fn from(stat: &Stat) -> Self {
        // The field types depend on the platform.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        Self { owner: stat.st_uid, group: stat.st_gid, mode: stat.st_mode as u32 }
    }
}

impl Trusted {
    pub(super) fn with_root(root: u32) -> Self {
        Self { user: geteuid().as_raw(), root }
    }

    pub(super) fn is_trusted(self, owner: u32) -> bool {
        [0, self.user, self.root].contains(&owner)
    }

    /// The permission bits of other users. A group whose gid equals the uid belongs to the user alone: `useradd`, container images
    /// and Kubernetes volumes (`fsGroup`) follow this convention.
    fn other_users_bits(self, access: Access) -> u32 {
        let is_own_group = access.group == self.user && self.user != 0;
        if is_own_group { access.mode & 0o007 } else { access.mode & 0o077 }
    }

    /// The reason why other users can replace files in a directory; `None` if they can't.
    pub(super) fn dir_violation(self, access: Access, role: DirRole) -> Option<String> {
        if !self.is_trusted(access.owner) {
            return Some(format!("owned by another user (uid {})", access.owner));
        }
        let is_writable = self.other_users_bits(access) & WRITE_BY_OTHERS != 0;
        // With the sticky bit, as in /tmp, other users can add files, but not remove or rename files of others.
        let is_sticky = role == DirRole::Ancestor && access.mode & STICKY != 0;
        (is_writable && !is_sticky).then(|| format!("other users can write to it (mode {:04o})", access.mode & 0o7777))
    }

    /// The reason why other users can read or change a file; `None` if they can't.
    fn secret_violation(self, access: Access) -> Option<String> {
        if !self.is_trusted(access.owner) {
            return Some(format!("owned by another user (uid {})", access.owner));
        }
        let is_open = self.other_users_bits(access) & READ_OR_WRITE_BY_OTHERS != 0;
        is_open.then(|| format!("other users can read or change it (mode {:04o})", access.mode & 0o7777))
    }
}

/// Checks the permissions of a file with a secret.
///
/// # Errors
/// Other users can read or write the file.
pub fn check_secret(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let access = Access { owner: metadata.uid(), group: metadata.gid(), mode: metadata.mode() };
    let violation = Trusted::with_root(0).secret_violation(access);
    violation.map_or(Ok(()), |reason| Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)))
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
    fn dir_is_private_if_only_the_user_and_root_can_write() {
        let trusted = Trusted { user: USER, root: 0 };
        let is_private = |access, role| trusted.dir_violation(access, role).is_none();
        for (owner, group, mode) in
            [(USER, 100, 0o700), (USER, 100, 0o755), (0, 0, 0o755), (USER, USER, 0o775), (0, USER, 0o2775)]
        {
            assert!(is_private(access(owner, group, mode), DirRole::Target), "{owner} {group} {mode:o}");
            assert!(is_private(access(owner, group, mode), DirRole::Ancestor), "{owner} {group} {mode:o}");
        }
        for (owner, group, mode) in
            [(OTHER, 100, 0o700), (USER, 100, 0o770), (USER, 100, 0o702), (0, 0, 0o775), (USER, USER, 0o777)]
        {
            assert!(!is_private(access(owner, group, mode), DirRole::Target), "{owner} {group} {mode:o}");
            assert!(!is_private(access(owner, group, mode), DirRole::Ancestor), "{owner} {group} {mode:o}");
        }
        // The mode of /tmp: valid for an ancestor only.
        assert!(is_private(access(0, 0, 0o1777), DirRole::Ancestor));
        assert!(!is_private(access(0, 0, 0o1777), DirRole::Target));
        assert!(!is_private(access(OTHER, 0, 0o1777), DirRole::Ancestor));
    }

    #[test]
    fn group_of_root_is_shared() {
        let trusted = Trusted { user: 0, root: 0 };
        assert!(trusted.dir_violation(access(0, 0, 0o775), DirRole::Target).is_some());
        assert!(trusted.secret_violation(access(0, 0, 0o640)).is_some());
    }

    #[test]
    fn owner_of_the_root_dir_is_trusted_for_user_namespaces() {
        const NOBODY: u32 = 65534;
        let trusted = Trusted { user: USER, root: NOBODY };
        assert!(trusted.dir_violation(access(NOBODY, NOBODY, 0o1777), DirRole::Ancestor).is_none());
        assert!(
            Trusted { user: USER, root: 0 }.dir_violation(access(NOBODY, NOBODY, 0o755), DirRole::Ancestor).is_some()
        );
    }

    #[test]
    fn secret_readable_or_writable_by_others_is_rejected() {
        let trusted = Trusted { user: USER, root: 0 };
        for (owner, group, mode) in [(USER, 100, 0o600), (USER, 100, 0o400), (0, USER, 0o440), (USER, 100, 0o711)] {
            assert_eq!(trusted.secret_violation(access(owner, group, mode)), None, "{owner} {group} {mode:o}");
        }
        for (owner, group, mode) in
            [(USER, 100, 0o644), (USER, 100, 0o640), (USER, 100, 0o602), (OTHER, USER, 0o600), (0, USER, 0o444)]
        {
            assert!(trusted.secret_violation(access(owner, group, mode)).is_some(), "{owner} {group} {mode:o}");
        }
    }
}
