//! Helper processes: this program, executed once more, does the work that hostile bytes could make endless, huge or crash.
//!
//! Compilers and readers of debug information have no bounds of their own. A helper process has a limit of CPU time and of memory,
//! and its end by a signal is an error of the plugin, not the end of the host. It ends with the host, too.

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

/// The first argument of a helper process. No command of the host has this name.
const ARGUMENT: &str = "__helper";

/// Threads of a helper process that compile. Each takes memory, so a machine with very many would exceed any limit.
const MAX_THREADS: usize = 8;

/// The exit code of a helper process that refuses its task; its standard output has the reason.
pub const REFUSED: u8 = 70;
/// The others that are no success.
const OUT_OF_MEMORY: u8 = 71;
const OUT_OF_TIME: u8 = 72;
const PARENT_GONE: u8 = 73;

/// The program that is executed as a helper process.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Lets this process start helper processes by executing this program, which must be a `mapper-host` of the same build: any other would
/// not understand the arguments. Without it plugins are compiled in this process, and backtraces have function names only.
pub fn register_program(program: PathBuf) {
    // Whichever came first is as good.
    let _ = PROGRAM.set(program);
}

/// As [`register_program`], for the program that this process runs, even if its file was replaced meanwhile.
pub fn register_this_program() {
    let own = Path::new("/proc/self/exe");
    let program = if own.exists() { Some(own.to_owned()) } else { executed_path() };
    if let Some(program) = program {
        register_program(program);
    }
}

/// The path by which this program was executed, where there is no `/proc`.
fn executed_path() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        // SAFETY: it takes no pointers.
        let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
        // SAFETY: what is not null points to a string of the process's initial stack, which stays.
        let path = (!path.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(path) })?;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes())))
    }
    #[cfg(not(target_os = "linux"))]
    std::env::current_exe().ok()
}

/// The program to execute, if there is one.
pub(super) fn program() -> Option<&'static Path> {
    PROGRAM.get().map(PathBuf::as_path)
}

/// What a helper process may use.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// CPU time of all its threads; `None`: the process that waits for it looks at the clock.
    cpu: Option<Duration>,
    /// Resident memory.
    memory_bytes: u64,
}

/// A running helper process. Dropping it kills it.
struct Process(Child);

impl Process {
    /// Starts one, with pipes for its standard input and output.
    fn start(program: &Path, task: &str, bounds: Bounds, arguments: &[String]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args([ARGUMENT, task]).arg(std::process::id().to_string());
        command.arg(bounds.cpu.map_or(0, |most| most.as_millis()).to_string());
        command.arg(bounds.memory_bytes.to_string()).args(arguments);
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        command.env("RAYON_NUM_THREADS", threads.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map(Self)
    }

    /// Waits for its end.
    fn wait(mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Why a helper process did not do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    OutOfMemory,
    OutOfTime,
    Ended(ExitStatus),
}

impl Failed {
    fn of(status: ExitStatus) -> Self {
        match status.code().map(u8::try_from) {
            Some(Ok(OUT_OF_MEMORY)) => Self::OutOfMemory,
            Some(Ok(OUT_OF_TIME)) => Self::OutOfTime,
            _ => Self::Ended(status),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("the helper process exceeded its memory limit"),
            Self::OutOfTime => f.write_str("the helper process exceeded its time limit"),
            Self::Ended(status) => write!(f, "the helper process ended early ({status})"),
        }
    }
}

/// The arguments of a helper process, as [`Process::start`] gives them.
struct Task {
    name: String,
    parent: u32,
    bounds: Bounds,
    arguments: Vec<String>,
}

impl Task {
    /// `None`: this is no helper process.
    fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Result<Self, String>> {
        let mut arguments = arguments.into_iter().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        if arguments.next()? != ARGUMENT {
            return None;
        }
        let mut next =
            || arguments.next().ok_or("helper process: an argument is missing. The host starts it, not a person");
        let mut task = || -> Result<Self, &'static str> {
            let name = next()?;
            let parent = next()?.parse().map_err(|_| "helper process: the parent is no process id")?;
            let number = |text: String| text.parse::<u64>().map_err(|_| "helper process: a limit is no number");
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
    fn arguments_of_people_are_no_task() {
        for arguments in [&["host"][..], &["host", "run"], &[], &["host", "--plugin", ARGUMENT]] {
            assert!(parsed(arguments).is_none(), "{arguments:?}");
        }
    }

    #[test]
    fn task_has_parent_bounds_and_arguments() {
        let task = parsed(&["host", ARGUMENT, "compile", "7", "1500", "4096", "a", "b"]).unwrap().unwrap();
        assert_eq!((task.name.as_str(), task.parent, task.bounds.memory_bytes), ("compile", 7, 4096));
        assert_eq!(
            (task.bounds.cpu, task.arguments),
            (Some(Duration::from_millis(1500)), vec!["a".into(), "b".into()])
        );
        assert_eq!(parsed(&["host", ARGUMENT, "x", "7", "0", "1"]).unwrap().unwrap().bounds.cpu, None);
        for wrong in
            [&["host", ARGUMENT][..], &["host", ARGUMENT, "x", "y", "0", "1"], &["host", ARGUMENT, "x", "1", "0"]]
        {
            assert!(parsed(wrong).unwrap().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn program_that_can_not_be_executed_is_an_error() {
        let bounds = Bounds { cpu: None, memory_bytes: 1 << 30 };
        assert!(Process::start(Path::new("/nowhere/host"), "compile", bounds, &[]).is_err());
    }
}
