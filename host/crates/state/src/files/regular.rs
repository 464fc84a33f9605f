//! Reads files at paths of users: regular files only, up to a limit.
//!
//! Opening a named pipe blocks until there is a writer. A device may have no end, and opening it can have side effects. So the file
//! type is checked before opening, and again on the open handle, which nobody can replace.

use std::fs::{File, FileType, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::text::decode_text;
use mapper_core::bytes::Bytes;

/// Opens a regular file for reading.
///
/// # Errors
/// The file can't be opened, or is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    check_kind(&std::fs::metadata(path)?)?;
    let file = open_nonblocking(path)?;
    check(&file)?;
    Ok(file)
}

/// As [`open`], for streaming input. It also accepts a pipe of the shell, such as `mapper-host map <(zcat FILE)`. It rejects a named
/// pipe, which may never have a writer.
///
/// # Errors
/// As [`open`].
pub fn open_stream(path: &Path) -> io::Result<File> {
    let mention_stdin = |error: io::Error| match error.kind() {
        ErrorKind::InvalidInput => io::Error::new(error.kind(), format!("{error}, or - for standard input")),
        _ => error,
    };
    if !std::fs::metadata(path)?.file_type().is_fifo() {
        return open(path).map_err(mention_stdin);
    }
    let file = open_nonblocking(path)?;
    if !is_anonymous_pipe(&file) {
        check(&file).map_err(mention_stdin)?;
    }
    // Only the open must not block; a read waits for the writer.
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
    Ok(file)
}

/// A size limit for reading a kind of file.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    kind: &'static str,
    bytes: u64,
}

impl Limit {
    /// `kind` has an article, such as "a plugin".
    pub const fn new(kind: &'static str, bytes: u64) -> Self {
        Self { kind, bytes }
    }

    fn exceeded(self, size: &str) -> io::Error {
        let message = format!("file too large: {size} bytes: the limit for {} is {}", self.kind, Bytes(self.bytes));
        io::Error::new(ErrorKind::FileTooLarge, message)
    }
}

/// Reads a complete regular file.
///
/// # Errors
/// As [`open`], or the file exceeds the limit.
pub fn read(path: &Path, limit: Limit) -> io::Result<Vec<u8>> {
    read_opened(&open(path)?, limit)
}

/// As [`read`], for text without its byte order mark.
///
/// # Errors
/// As [`read`], or the content is not UTF-8.
pub fn read_text(path: &Path, limit: Limit) -> io::Result<String> {
    decode_text(read(path, limit)?).map_err(|reason| io::Error::new(ErrorKind::InvalidData, reason))
}

/// Reads the rest of an open file. The limit applies even if the file grows meanwhile.
///
/// # Errors
/// The file can't be read, or exceeds the limit.
pub fn read_opened(file: &File, limit: Limit) -> io::Result<Vec<u8>> {
    let bytes = file.metadata()?.len();
    if bytes > limit.bytes {
        return Err(limit.exceeded(&bytes.to_string()));
    }
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    file.take(limit.bytes.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit.bytes {
        return Err(limit.exceeded(&format!("more than {}", limit.bytes)));
    }
    Ok(content)
}

/// Writes a file at a path of a user. It may be a pipe or a terminal, such as `/dev/stdout`. A named pipe without a reader is an
/// error, because opening it would block.
///
/// # Errors
/// The file can't be written.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let mut file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::new(error.kind(), "a named pipe without a reader, or a socket"),
        _ => error,
    })?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
    file.write_all(content)
}

/// # Errors
/// The open file is not a regular file.
pub fn check(file: &File) -> io::Result<()> {
    check_kind(&file.metadata()?)?;
    if is_in_kernel_fs(file) {
        return Err(not_regular(ErrorKind::InvalidInput, "a file of the kernel (/proc or /sys)"));
    }
    Ok(())
}

fn open_nonblocking(path: &Path) -> io::Result<File> {
    // The flags have no effect on a regular file.
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn check_kind(metadata: &Metadata) -> io::Result<()> {
    let (kind, file_type) = match special_type(metadata.file_type()) {
        None => return Ok(()),
        Some(file_type) if metadata.is_dir() => (ErrorKind::IsADirectory, file_type),
        Some(file_type) => (ErrorKind::InvalidInput, file_type),
    };
    Err(not_regular(kind, file_type))
}

fn not_regular(kind: ErrorKind, file_type: &str) -> io::Error {
    io::Error::new(kind, format!("not a regular file: {file_type}. Set the path of a regular file"))
}

/// `None` is a regular file.
fn special_type(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a named pipe (FIFO)")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_char_device() {
        Some("a character device")
    } else if kind.is_block_device() {
        Some("a block device")
    } else {
        Some("an unknown file type")
    }
}

/// Files in these file systems claim to be regular, but may have no end.
#[cfg(target_os = "linux")]
fn is_in_kernel_fs(file: &File) -> bool {
    const SYSFS_MAGIC: u64 = 0x6265_6572;
    file_system(file).is_some_and(|magic| [rustix::fs::PROC_SUPER_MAGIC as u64, SYSFS_MAGIC].contains(&magic))
}

#[cfg(target_os = "linux")]
fn is_anonymous_pipe(file: &File) -> bool {
    const PIPEFS_MAGIC: u64 = 0x5049_5045;
    file_system(file) == Some(PIPEFS_MAGIC)
}

#[cfg(target_os = "linux")]
fn file_system(file: &File) -> Option<u64> {
    // The type of `f_type` depends on the platform.
    #[expect(clippy::cast_sign_loss, reason = "a magic number has no sign")]
    rustix::fs::fstatfs(file).ok().map(|stat| stat.f_type as u64)
}

#[cfg(not(target_os = "linux"))]
fn is_in_kernel_fs(_: &File) -> bool {
    false
}

/// On other systems, shells use named pipes for process substitution.
#[cfg(not(target_os = "linux"))]
fn is_anonymous_pipe(_: &File) -> bool {
    true
}
