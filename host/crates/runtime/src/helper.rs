//! Helper processes isolate the compiler and the DWARF reader from the host.
//!
//! Hostile input can make both run for ever, exhaust memory or crash. The host executes itself as a helper process with a limit of
//! CPU time and memory. If the helper crashes, the plugin is rejected and the host goes on. A helper exits with the host.

mod compile;
mod guard;
mod serve;
mod symbolize;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{fmt, io};

pub(super) use compile::{Compiled, compile};
pub use serve::serve;
pub(super) use symbolize::Symbolizer;

/// The first argument of a helper process. It is no command of the command line.
const HELPER_ARGUMENT: &str = "__helper";

/// Compiler threads in a helper process. Each needs memory, so their number must not grow with the machine.
const MAX_THREADS: usize = 8;

/// Exit code for a rejected task. Standard output has the reason.
pub const REFUSED: u8 = 70;
const OUT_OF_MEMORY: u8 = 71;
const OUT_OF_TIME: u8 = 72;
const PARENT_GONE: u8 = 73;

/// The executable for helper processes.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Registers the executable for helper processes. It must be a host of the same build. Without it, the host compiles plugins in
/// this process, and backtraces have function names only.
pub fn register_program(program: PathBuf) {
    // A second registration names the same build, so it can be ignored.
    let _ = PROGRAM.set(program);
}

/// Registers the executable of this process. An upgrade that replaces the file doesn't affect it.
pub fn register_this_program() {
    let own = Path::new("/proc/self/exe");
    let program = if own.exists() { Some(own.to_owned()) } else { executed_path() };
    if let Some(program) = program {
        register_program(program);
    }
}

/// The path of the executable for systems without `/proc`.
fn executed_path() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        // SAFETY: `getauxval` takes no pointers.
        let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
        // SAFETY: a non-null value points to a string on the initial stack of the process, which stays valid.
        let path = (!path.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(path) })?;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes())))
    }
    #[cfg(not(target_os = "linux"))]
    std::env::current_exe().ok()
}

pub(super) fn program() -> Option<&'static Path> {
    PROGRAM.get().map(PathBuf::as_path)
}

/// Resource limits of a helper process.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// CPU time over all threads; `None` if the host enforces a timeout instead.
    cpu: Option<Duration>,
    /// Resident memory.
    memory_bytes: u64,
}

/// A running helper process. Drop kills it.
struct Process(Child);

impl Process {
    /// Standard input and output of the process are pipes.
    fn start(program: &Path, task: &str, bounds: Bounds, arguments: &[String]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args([HELPER_ARGUMENT, task]).arg(std::process::id().to_string());
        command.arg(bounds.cpu.map_or(0, |limit| limit.as_millis()).to_string());
        command.arg(bounds.memory_bytes.to_string()).args(arguments);
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        command.env("RAYON_NUM_THREADS", threads.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map(Self)
    }

    fn wait(mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if the process has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HelperFailure {
    OutOfMemory,
    OutOfTime,
    Exited(ExitStatus),
}

impl HelperFailure {
    fn from_status(status: ExitStatus) -> Self {
        match status.code().map(u8::try_from) {
            Some(Ok(OUT_OF_MEMORY)) => Self::OutOfMemory,
            Some(Ok(OUT_OF_TIME)) => Self::OutOfTime,
            _ => Self::Exited(status),
        }
    }
}

impl fmt::Display for HelperFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("the helper process exceeded its memory limit"),
            Self::OutOfTime => f.write_str("the helper process exceeded its time limit"),
            Self::Exited(status) => write!(f, "the helper process exited early ({status})"),
        }
    }
}

/// The arguments that [`Process::start`] passes to a helper process.
struct Task {
    name: String,
    parent: u32,
    bounds: Bounds,
    arguments: Vec<String>,
}

impl Task {
    /// `None` if this is not a helper process.
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Result<Self, String>> {
        let mut arguments = arguments.into_iter().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        if arguments.next()? != HELPER_ARGUMENT {
            return None;
        }
        let mut next =
            || arguments.next().ok_or("helper process: an argument is missing. Only the host starts helper processes");
        let mut task = || -> Result<Self, &'static str> {
            let name = next()?;
            let parent = next()?.parse().map_err(|_| "helper process: the parent is not a process id")?;
            let number = |text: String| text.parse::<u64>().map_err(|_| "helper process: a limit is not a number");
            let (cpu_ms, memory_bytes) = (number(next()?)?, number(next()?)?);
            let cpu = (cpu_ms > 0).then(|| Duration::from_millis(cpu_ms));
            Ok(Self { name, parent, bounds: Bounds { cpu, memory_bytes }, arguments: Vec::new() })
        };
        let task = task();
        Some(task.map(|task| Self { arguments: arguments.collect(), ..task }).map_err(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Option<Result<Task, String>> {
        Task::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn command_line_arguments_are_not_a_task() {
        for arguments in [&["host"][..], &["host", "run"], &[], &["host", "--plugin", HELPER_ARGUMENT]] {
            assert!(parsed(arguments).is_none(), "{arguments:?}");
        }
    }

    #[test]
    fn task_has_parent_bounds_and_arguments() {
        let task = parsed(&["host", HELPER_ARGUMENT, "compile", "7", "1500", "4096", "a", "b"]).unwrap().unwrap();
        assert_eq!((task.name.as_str(), task.parent, task.bounds.memory_bytes), ("compile", 7, 4096));
        assert_eq!(
            (task.bounds.cpu, task.arguments),
            (Some(Duration::from_millis(1500)), vec!["a".into(), "b".into()])
        );
        assert_eq!(parsed(&["host", HELPER_ARGUMENT, "x", "7", "0", "1"]).unwrap().unwrap().bounds.cpu, None);
        for wrong in [
            &["host", HELPER_ARGUMENT][..],
            &["host", HELPER_ARGUMENT, "x", "y", "0", "1"],
            &["host", HELPER_ARGUMENT, "x", "1", "0"],
        ] {
            assert!(parsed(wrong).unwrap().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn missing_executable_is_an_error() {
        let bounds = Bounds { cpu: None, memory_bytes: 1 << 30 };
        assert!(Process::start(Path::new("/nowhere/host"), "compile", bounds, &[]).is_err());
    }
}
