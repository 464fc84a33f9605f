//! A directory that only this user can change. It is looked for from `/` on, one component after the other, each by the handle of
//! the one before; what is in it is opened by its own handle. So nobody can exchange it after it was checked.

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

use super::owner::{Access, Place, Trusted};
use super::regular::{self, Limit};

/// As many as Linux follows.
const MAX_LINKS: usize = 40;
/// For a directory that is only passed through: it need not be readable.
#[cfg(target_os = "linux")]
const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const PASS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// For files in the directory: never through a symbolic link, and never waiting for somebody.
const DIRECT: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const OWN_DIR: Mode = Mode::RWXU;
const OWN_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory that only this user can change. Clones are the same directory.
#[derive(Debug, Clone)]
pub struct PrivateDir {
    path: PathBuf,
    handle: Arc<OwnedFd>,
    trusted: Trusted,
}

impl PrivateDir {
    /// Opens a directory, and makes it and its parents if need be.
    ///
    /// # Errors
    /// When it can't be made or written to, or when another user could change what is in it; the message names the directory
    /// that is at fault.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let mut walk = Walk::new()?;
        walk.follow(&path)?;
        Self::new(path, walk.handle, walk.trusted)
    }

    /// Opens a directory in it, and makes it if need be.
    ///
    /// # Errors
    /// See [`PrivateDir::open`].
    pub fn dir(&self, name: &str) -> io::Result<Self> {
        let mut walk = Walk {
            handle: rustix::io::fcntl_dupfd_cloexec(&*self.handle, 0)?,
            trusted: self.trusted,
            shown: self.path.clone(),
        };
        walk.enter(OsStr::new(name), Place::Last)?;
        Self::new(self.path.join(name), walk.handle, self.trusted)
    }

    fn new(path: PathBuf, passed: OwnedFd, trusted: Trusted) -> io::Result<Self> {
        let named = |error: Errno| at(&path, &error.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&passed, c".", flags, Mode::empty()).map_err(named)?;
        let permission = Permission::WRITE_OK | Permission::EXEC_OK;
        rustix::fs::accessat(&handle, c".", permission, AtFlags::EACCESS).map_err(named)?;
        Ok(Self { path, handle: Arc::new(handle), trusted })
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file in it to read it.
    ///
    /// # Errors
    /// When it can't be opened, or is not a regular file of this user.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        self.open_with(name, OFlags::RDONLY)
    }

    /// Opens a file in it to read and write, and makes it if need be.
    ///
    /// # Errors
    /// See [`PrivateDir::open_file`].
    pub fn open_or_create(&self, name: &str) -> io::Result<File> {
        self.open_with(name, OFlags::RDWR | OFlags::CREATE)
    }

    fn open_with(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let opened = rustix::fs::openat(&*self.handle, name, flags | DIRECT, OWN_FILE);
        let file = File::from(opened.map_err(|error| match error {
            Errno::LOOP => {
                io::Error::new(ErrorKind::InvalidInput, "it is a symbolic link, not a regular file; remove it")
            }
            Errno::NXIO => io::Error::new(ErrorKind::InvalidInput, "it is a socket, not a regular file; remove it"),
            error => error.into(),
        })?);
        regular::check(&file)?;
        let owner = file.metadata()?.uid();
        if !self.trusted.is_trusted(owner) {
            let message = format!("it belongs to another user (uid {owner}); remove it");
            return Err(io::Error::new(ErrorKind::PermissionDenied, message));
        }
        Ok(file)
    }

    /// The whole of a file in it.
    ///
    /// # Errors
    /// See [`PrivateDir::open_file`] and [`regular::read_opened`].
    pub fn read(&self, name: &str, limit: Limit) -> io::Result<Vec<u8>> {
        regular::read_opened(&self.open_file(name)?, limit)
    }

    /// A new file, which nobody sees before it is given its name.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new_file(&self) -> io::Result<NewFile> {
        let temporary = format!(".{:016x}.new", rand::random::<u64>());
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | DIRECT;
        let file = rustix::fs::openat(&*self.handle, &temporary, flags, OWN_FILE)?;
        Ok(NewFile { file: File::from(file), dir: self.clone(), temporary: Some(temporary) })
    }

    /// Writes a file in one step, in the place of one that may be there. It outlives the process, but not a power failure.
    ///
    /// # Errors
    /// When it can't be written; what was there before is still there then.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut new = self.new_file()?;
        new.file.write_all(content)?;
        new.rename(name).map(|_| ())
    }

    /// Makes durable which files are in it.
    ///
    /// # Errors
    /// When a disk fails.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&*self.handle)?)
    }

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&*self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is something of this name, be it a broken link.
    pub fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&*self.handle, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The names of the regular files in it, with what is known of them.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn files(&self) -> io::Result<Vec<(String, Metadata)>> {
        let mut files = Vec::new();
        for entry in rustix::fs::Dir::read_from(&*self.handle)? {
            let entry = entry?;
            // The host's own files have names of ASCII.
            let Ok(name) = entry.file_name().to_str() else { continue };
            let is_file = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
            // What is gone meanwhile is gone.
            if let Some(file) = is_file.then(|| self.open_file(name).ok()).flatten() {
                files.push((name.to_owned(), file.metadata()?));
            }
        }
        Ok(files)
    }
}

/// A file that is being written. If it is not given a name, it is removed.
#[derive(Debug)]
pub struct NewFile {
    /// Every write appends.
    pub file: File,
    dir: PrivateDir,
    temporary: Option<String>,
}

impl NewFile {
    /// Gives the file its name, in the place of one that may be there. The file stays open.
    ///
    /// # Errors
    /// When it can't be renamed.
    pub fn rename(mut self, name: &str) -> io::Result<File> {
        let file = self.file.try_clone()?;
        if let Some(temporary) = &self.temporary {
            rustix::fs::renameat(&*self.dir.handle, temporary, &*self.dir.handle, name)?;
        }
        self.temporary = None;
        Ok(file)
    }

    /// As [`NewFile::rename`]; then the content and the name are durable.
    ///
    /// # Errors
    /// When it can't be renamed, or a disk fails.
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
            // Nothing depends on it.
            let _ = self.dir.remove(temporary);
        }
    }
}

/// The way to a directory.
struct Walk {
    handle: OwnedFd,
    trusted: Trusted,
    /// Where it is at the moment.
    shown: PathBuf,
}

impl Walk {
    fn new() -> io::Result<Self> {
        let shown = PathBuf::from("/");
        let handle = rustix::fs::openat(CWD, c"/", PASS, Mode::empty()).map_err(|error| at(&shown, &error.into()))?;
        let root = Access::from(&rustix::fs::fstat(&handle)?);
        let walk = Self { handle, trusted: Trusted::with_root(root.owner), shown };
        walk.check(root, Place::Parent)?;
        Ok(walk)
    }

    /// Goes to an absolute path.
    fn follow(&mut self, path: &Path) -> io::Result<()> {
        let mut left: VecDeque<OsString> = components(path);
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            let place = if left.is_empty() { Place::Last } else { Place::Parent };
            let Some(target) = self.enter(&name, place)? else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(at(&self.shown.join(name), &Errno::LOOP.into()));
            }
            if target.is_absolute() {
                let root = Self::new()?;
                (self.handle, self.shown) = (root.handle, root.shown);
            }
            for component in components(&target).into_iter().rev() {
                left.push_front(component);
            }
        }
        Ok(())
    }

    /// Goes into a directory here, which is made if it is not there. If it is a symbolic link on the way, returns its target.
    fn enter(&mut self, name: &OsStr, place: Place) -> io::Result<Option<PathBuf>> {
        let shown = self.shown.join(name);
        let named = |error: Errno| at(&shown, &error.into());
        let stat = match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&self.handle, name, OWN_DIR) {
                    // Somebody else was first.
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
            if place == Place::Last {
                let message = format!("it is a symbolic link to {}; give the directory itself", target.display());
                return Err(at(&shown, &io::Error::new(ErrorKind::InvalidInput, message)));
            }
            if !self.trusted.is_trusted(owner) {
                let message = format!("it is a symbolic link of another user (uid {owner})");
                return Err(at(&shown, &io::Error::new(ErrorKind::PermissionDenied, message)));
            }
            return Ok(Some(target));
        }
        self.handle = rustix::fs::openat(&self.handle, name, PASS, Mode::empty()).map_err(named)?;
        self.shown = shown;
        self.check(Access::from(&rustix::fs::fstat(&self.handle)?), place)?;
        Ok(None)
    }

    fn check(&self, access: Access, place: Place) -> io::Result<()> {
        let Some(why) = self.trusted.refuse_dir(access, place) else { return Ok(()) };
        Err(at(&self.shown, &io::Error::new(ErrorKind::PermissionDenied, why)))
    }
}

/// Without `.` and the root.
fn components(path: &Path) -> VecDeque<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(name).collect()
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
