//! A directory that only this user can write to. The path is resolved from `/` by handles, one component at a time, and files are
//! opened relative to the handle of the directory. So nobody can replace a component after its check.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access as Permission, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::owner::{Access, DirRole, Trusted};
use super::regular::{self, Limit};

/// The limit of Linux (`path_resolution(7)`).
const MAX_LINKS: usize = 40;
/// Flags for an ancestor directory, which need not be readable.
#[cfg(target_os = "linux")]
const TRAVERSE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const TRAVERSE: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Flags for files in the directory: don't follow symbolic links, and don't block.
const FILE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const OWN_DIR: Mode = Mode::RWXU;
const OWN_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory that only this user can write to. Clones share the handle.
#[derive(Debug, Clone)]
pub struct PrivateDir {
    path: PathBuf,
    handle: Arc<OwnedFd>,
    trusted: Trusted,
}

impl PrivateDir {
    /// Opens or creates a directory, with its parents.
    ///
    /// # Errors
    /// The directory can't be created or written to, or another user can change its content. The error names the directory or
    /// ancestor that violates the rule.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let mut walk = Walk::new()?;
        walk.follow(&path)?;
        Self::new(path, walk.handle, walk.trusted)
    }

    /// Opens or creates a subdirectory.
    ///
    /// # Errors
    /// See [`PrivateDir::open`].
    pub fn dir(&self, name: &str) -> io::Result<Self> {
        let mut walk = Walk {
            handle: rustix::io::fcntl_dupfd_cloexec(&*self.handle, 0)?,
            trusted: self.trusted,
            path: self.path.clone(),
        };
        walk.enter(OsStr::new(name), DirRole::Target)?;
        Self::new(self.path.join(name), walk.handle, self.trusted)
    }

    fn new(path: PathBuf, traversed: OwnedFd, trusted: Trusted) -> io::Result<Self> {
        let named = |error: Errno| with_path(&path, &error.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&traversed, c".", flags, Mode::empty()).map_err(named)?;
        let permission = Permission::WRITE_OK | Permission::EXEC_OK;
        rustix::fs::accessat(&handle, c".", permission, AtFlags::EACCESS).map_err(named)?;
        Ok(Self { path, handle: Arc::new(handle), trusted })
    }

    /// The path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The file can't be opened, is not a regular file, or belongs to another user.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        self.open_with(name, OFlags::RDONLY)
    }

    /// Opens or creates a file for reading and writing.
    ///
    /// # Errors
    /// See [`PrivateDir::open_file`].
    pub fn open_or_create(&self, name: &str) -> io::Result<File> {
        self.open_with(name, OFlags::RDWR | OFlags::CREATE)
    }

    fn open_with(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let opened = rustix::fs::openat(&*self.handle, name, flags | FILE_FLAGS, OWN_FILE);
        let file = File::from(opened.map_err(|error| match error {
            Errno::LOOP => io::Error::new(ErrorKind::InvalidInput, "not a regular file: a symbolic link. Remove it"),
            Errno::NXIO => io::Error::new(ErrorKind::InvalidInput, "not a regular file: a socket. Remove it"),
            error => error.into(),
        })?);
        regular::check(&file)?;
        let owner = file.metadata()?.uid();
        if !self.trusted.is_trusted(owner) {
            let message = format!("owned by another user (uid {owner}). Remove it");
            return Err(io::Error::new(ErrorKind::PermissionDenied, message));
        }
        Ok(file)
    }

    /// Reads a complete file.
    ///
    /// # Errors
    /// See [`PrivateDir::open_file`] and [`regular::read_opened`].
    pub fn read(&self, name: &str, limit: Limit) -> io::Result<Vec<u8>> {
        regular::read_opened(&self.open_file(name)?, limit)
    }

    /// Creates a temporary file, to be renamed when it is complete.
    ///
    /// # Errors
    /// The file can't be created.
    pub fn new_file(&self) -> io::Result<NewFile> {
        let temporary = format!(".{:016x}.new", rand::random::<u64>());
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | FILE_FLAGS;
        let file = rustix::fs::openat(&*self.handle, &temporary, flags, OWN_FILE)?;
        Ok(NewFile { file: File::from(file), dir: self.clone(), temporary: Some(temporary) })
    }

    /// Creates or replaces a file atomically. The file survives a crash of the process, but not a power failure.
    ///
    /// # Errors
    /// The file can't be written. The previous file is unchanged then.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut new = self.new_file()?;
        new.file.write_all(content)?;
        new.rename(name).map(|_| ())
    }

    /// Makes the directory entries durable (fsync).
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&*self.handle)?)
    }

    /// Removes a file. A missing file is not an error.
    ///
    /// # Errors
    /// The file can't be removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&*self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an entry of any type has this name.
    pub fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&*self.handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Whether this name still refers to an opened file. It doesn't if the file was removed or replaced.
    ///
    /// # Errors
    /// The disk failed.
    pub fn is_current(&self, name: &str, file: &File) -> io::Result<bool> {
        let opened = rustix::fs::fstat(file)?;
        match rustix::fs::statat(&*self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Names and metadata of the regular files.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn files(&self) -> io::Result<Vec<(String, Metadata)>> {
        let mut files = Vec::new();
        for entry in rustix::fs::Dir::read_from(&*self.handle)? {
            let entry = entry?;
            // The host creates ASCII names only, so other files can be ignored.
            let Ok(name) = entry.file_name().to_str() else { continue };
            let is_file = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
            // The file may have been removed since.
            if let Some(file) = is_file.then(|| self.open_file(name).ok()).flatten() {
                files.push((name.to_owned(), file.metadata()?));
            }
        }
        Ok(files)
    }
}

/// A temporary file. Drop removes it unless it was renamed.
#[derive(Debug)]
pub struct NewFile {
    /// Opened with O_APPEND.
    pub file: File,
    dir: PrivateDir,
    temporary: Option<String>,
}

impl NewFile {
    /// Renames the file, replacing an existing one. The file stays open.
    ///
    /// # Errors
    /// The rename failed.
    pub fn rename(mut self, name: &str) -> io::Result<File> {
        let file = self.file.try_clone()?;
        if let Some(temporary) = &self.temporary {
            rustix::fs::renameat(&*self.dir.handle, temporary, &*self.dir.handle, name)?;
        }
        self.temporary = None;
        Ok(file)
    }

    /// As [`NewFile::rename`], and makes content and name durable (fsync).
    ///
    /// # Errors
    /// The rename or the disk failed.
    pub fn persist(self, name: &str) -> io::Result<File> {
        self.file.sync_all()?;
        let dir = self.dir.clone();
        let file = self.rename(name)?;
        dir.sync()?;
        Ok(file)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // A leftover temporary file is harmless.
            let _ = self.dir.remove(temporary);
        }
    }
}

/// Resolves a path by handles.
struct Walk {
    handle: OwnedFd,
    trusted: Trusted,
    /// The current directory, for messages.
    path: PathBuf,
}

impl Walk {
    fn new() -> io::Result<Self> {
        let path = PathBuf::from("/");
        let handle =
            rustix::fs::openat(CWD, c"/", TRAVERSE, Mode::empty()).map_err(|error| with_path(&path, &error.into()))?;
        let root = Access::from(&rustix::fs::fstat(&handle)?);
        let walk = Self { handle, trusted: Trusted::with_root(root.owner), path };
        walk.check(root, DirRole::Ancestor)?;
        Ok(walk)
    }

    /// Walks to an absolute path.
    fn follow(&mut self, path: &Path) -> io::Result<()> {
        let mut remaining: VecDeque<OsString> = components(path);
        let mut links = 0;
        while let Some(name) = remaining.pop_front() {
            let role = if remaining.is_empty() { DirRole::Target } else { DirRole::Ancestor };
            let Some(target) = self.enter(&name, role)? else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(with_path(&self.path.join(name), &Errno::LOOP.into()));
            }
            if target.is_absolute() {
                let root = Self::new()?;
                (self.handle, self.path) = (root.handle, root.path);
            }
            for component in components(&target).into_iter().rev() {
                remaining.push_front(component);
            }
        }
        Ok(())
    }

    /// Enters a subdirectory, and creates it if it is missing. Returns the target of a symbolic link instead of entering it.
    fn enter(&mut self, name: &OsStr, role: DirRole) -> io::Result<Option<PathBuf>> {
        let path = self.path.join(name);
        let named = |error: Errno| with_path(&path, &error.into());
        let stat = match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&self.handle, name, OWN_DIR) {
                    // EXIST: another process created it first.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(named(error)),
                }
                rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).map_err(named)?
            }
            stat => stat.map_err(named)?,
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            let target = rustix::fs::readlinkat(&self.handle, name, Vec::new()).map_err(named)?;
            let target = PathBuf::from(OsStr::from_bytes(target.as_bytes()));
            let owner = Access::from(&stat).owner;
            if role == DirRole::Target {
                let message = format!("a symbolic link to {}. Set the path of the directory itself", target.display());
                return Err(with_path(&path, &io::Error::new(ErrorKind::InvalidInput, message)));
            }
            if !self.trusted.is_trusted(owner) {
                let message = format!("a symbolic link owned by another user (uid {owner})");
                return Err(with_path(&path, &io::Error::new(ErrorKind::PermissionDenied, message)));
            }
            return Ok(Some(target));
        }
        self.handle = rustix::fs::openat(&self.handle, name, TRAVERSE, Mode::empty()).map_err(named)?;
        self.path = path;
        self.check(Access::from(&rustix::fs::fstat(&self.handle)?), role)?;
        Ok(None)
    }

    fn check(&self, access: Access, role: DirRole) -> io::Result<()> {
        let Some(reason) = self.trusted.dir_violation(access, role) else { return Ok(()) };
        Err(with_path(&self.path, &io::Error::new(ErrorKind::PermissionDenied, reason)))
    }
}

/// Components without `.` and the root.
fn components(path: &Path) -> VecDeque<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
