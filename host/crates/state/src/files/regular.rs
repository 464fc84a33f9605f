//! Reading a file that somebody else named: a regular file only, up to a limit.
//!
//! To open a named pipe waits for a writer, a device can be endless, and to open one may already have an effect. So the kind of
//! the file is checked before it is opened and once more on the open handle, which nobody can exchange.

use std::fs::{File, FileType, Metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::text::decode_text;
use mapper_core::bytes::Bytes;

/// Opens a regular file to read it.
///
/// # Errors
/// When it can't be opened, or is not a regular file; the message says what it is instead.
pub fn open(path: &Path) -> io::Result<File> {
    check_kind(&std::fs::metadata(path)?)?;
    let file = open_at_once(path)?;
    check(&file)?;
    Ok(file)
}

/// As [`open`], for a command that reads its input bit by bit: a pipe that the shell has opened for it, as in
/// `mapper-host map <(zcat FILE)`, is good, too. A named pipe is not: nobody may ever write to it.
///
/// # Errors
/// As [`open`].
pub fn open_stream(path: &Path) -> io::Result<File> {
    let or_stdin = |error: io::Error| match error.kind() {
        ErrorKind::InvalidInput => io::Error::new(error.kind(), format!("{error}, or - for standard input")),
        _ => error,
    };
    if !std::fs::metadata(path)?.file_type().is_fifo() {
        return open(path).map_err(or_stdin);
    }
    let file = open_at_once(path)?;
    if !is_anonymous_pipe(&file) {
        check(&file).map_err(or_stdin)?;
    }
    // A read waits for the writer; only the open must not.
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
    Ok(file)
}

/// The most that is read of a file.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    what: &'static str,
    bytes: u64,
}

impl Limit {
    /// For files of this kind, such as "a plugin".
    pub const fn new(what: &'static str, bytes: u64) -> Self {
        Self { what, bytes }
    }

    fn exceeded(self, has: &str) -> io::Error {
        let message = format!("it has {has} bytes; {} has {} at most", self.what, Bytes(self.bytes));
        io::Error::new(ErrorKind::FileTooLarge, message)
    }
}

/// The whole of a regular file.
///
/// # Errors
/// As [`open`], and when it has more than the limit.
pub fn read(path: &Path, limit: Limit) -> io::Result<Vec<u8>> {
    read_opened(&open(path)?, limit)
}

/// As [`read`], for text, without its byte order mark.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(path: &Path, limit: Limit) -> io::Result<String> {
    decode_text(read(path, limit)?).map_err(|why| io::Error::new(ErrorKind::InvalidData, why))
}

/// The rest of an open file, which may grow meanwhile.
///
/// # Errors
/// When it can't be read, or has more than the limit.
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

/// Writes a file that a user named. That may be a pipe or a terminal, as `/dev/stdout` is, but not a named pipe that nobody reads:
/// to open that would wait for a reader.
///
/// # Errors
/// When it can't be written.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    let mut file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::new(error.kind(), "it is a named pipe that nobody reads, or a socket"),
        _ => error,
    })?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
    file.write_all(content)
}

/// Checks an open file.
///
/// # Errors
/// When it is not a regular file.
pub fn check(file: &File) -> io::Result<()> {
    check_kind(&file.metadata()?)?;
    if is_of_the_kernel(file) {
        return Err(not_regular(ErrorKind::InvalidInput, "a file of the kernel (/proc or /sys)"));
    }
    Ok(())
}

fn open_at_once(path: &Path) -> io::Result<File> {
    // Neither flag matters to a regular file.
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn check_kind(metadata: &Metadata) -> io::Result<()> {
    let (kind, what) = match kind(metadata.file_type()) {
        None => return Ok(()),
        Some(what) if metadata.is_dir() => (ErrorKind::IsADirectory, what),
        Some(what) => (ErrorKind::InvalidInput, what),
    };
    Err(not_regular(kind, what))
}

fn not_regular(kind: ErrorKind, what: &str) -> io::Error {
    io::Error::new(kind, format!("it is {what}, not a regular file; give the path of a regular file"))
}

/// What a file is; `None`: a regular file.
fn kind(kind: FileType) -> Option<&'static str> {
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
        Some("something else")
    }
}

/// Whether the file system makes up the content: such files say that they are regular and may be endless.
#[cfg(target_os = "linux")]
fn is_of_the_kernel(file: &File) -> bool {
    const SYSFS_MAGIC: u64 = 0x6265_6572;
    file_system(file).is_some_and(|magic| [rustix::fs::PROC_SUPER_MAGIC as u64, SYSFS_MAGIC].contains(&magic))
}

/// Whether it is a pipe without a name, which its reader and writer were given open.
#[cfg(target_os = "linux")]
fn is_anonymous_pipe(file: &File) -> bool {
    const PIPEFS_MAGIC: u64 = 0x5049_5045;
    file_system(file) == Some(PIPEFS_MAGIC)
}

#[cfg(target_os = "linux")]
fn file_system(file: &File) -> Option<u64> {
    // The type of the field differs from machine to machine.
    #[expect(clippy::cast_sign_loss, reason = "a magic number has no sign")]
    rustix::fs::fstatfs(file).ok().map(|stat| stat.f_type as u64)
}

#[cfg(not(target_os = "linux"))]
fn is_of_the_kernel(_: &File) -> bool {
    false
}

/// Elsewhere the shell makes a named pipe for it.
#[cfg(not(target_os = "linux"))]
fn is_anonymous_pipe(_: &File) -> bool {
    true
}
