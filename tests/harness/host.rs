//! The host as its users run it: a process with flags, signals and an exit code.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};

use crate::kafka::Kafka;
use crate::topics;

/// The timeout of a host that ends by itself.
const END_TIMEOUT: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(10);
/// The part of the host's log that a failed test shows.
const SHOWN_LINES: usize = 30;

/// Topics, group and folders of one test, so that tests run side by side.
pub struct Job<'k> {
    /// The broker.
    pub kafka: &'k Kafka,
    names: Names,
    binary: &'static str,
    plugin: PathBuf,
}

/// The parts of a job that outlive a restart of its broker.
pub struct Names {
    /// The input topic, of two partitions like the others.
    pub input: String,
    /// The output topic.
    pub output: String,
    /// The dead-letter topic.
    pub dead_letters: String,
    /// The consumer group.
    pub group: String,
    dir: TempDir,
}

impl Names {
    /// The folder of the job: the host keeps its state in `state`, and compiled plugins in `cache`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Deref for Job<'_> {
    type Target = Names;

    fn deref(&self) -> &Names {
        &self.names
    }
}

/// A running host. Dropping it kills it.
pub struct Host {
    child: Child,
    log: NamedTempFile,
    /// Copies the output of the host's terminal to the log, if it has one.
    copier: Option<JoinHandle<()>>,
}

/// How a host ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Its stdout and stderr.
    pub output: String,
}

impl<'k> Job<'k> {
    /// A job with new topics on this broker, for this binary and plugin.
    pub fn new(kafka: &'k Kafka, name: &str, binary: &'static str, plugin: &Path) -> Self {
        let topic = |kind: &str| topics::unique(&format!("{name}-{kind}"));
        let (input, output, dead_letters) = (topic("in"), topic("out"), topic("dlq"));
        for topic in [&input, &output, &dead_letters] {
            topics::create(kafka, topic, 2, &[]);
        }
        let (group, dir) = (topic("group"), TempDir::new().expect("a folder for the test"));
        Self::with_names(kafka, binary, plugin, Names { input, output, dead_letters, group, dir })
    }

    /// A job with existing topics and folders.
    pub fn with_names(kafka: &'k Kafka, binary: &'static str, plugin: &Path, names: Names) -> Self {
        Self { kafka, names, binary, plugin: plugin.to_owned() }
    }

    /// Releases the broker, so that it can be restarted.
    pub fn into_names(self) -> Names {
        self.names
    }

    /// The arguments of a run: these, and those of the job that these do not replace.
    fn args(&self, more: &[&str]) -> Vec<String> {
        let dir = |name: &str| self.dir.path().join(name).display().to_string();
        [
            ("--plugin", self.plugin.display().to_string()),
            ("--brokers", self.kafka.brokers().to_owned()),
            ("--input-topic", self.input.clone()),
            ("--output-topic", self.output.clone()),
            ("--dead-letter-topic", self.dead_letters.clone()),
            ("--group", self.group.clone()),
            ("--state-dir", dir("state")),
            ("--cache-dir", dir("cache")),
        ]
        .into_iter()
        .filter(|(flag, _)| !more.contains(flag))
        .filter(|(flag, _)| *flag != "--input-topic" || !more.contains(&"--input-topics"))
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .chain(more.iter().map(|arg| (*arg).to_owned()))
        .collect()
    }

    /// Starts a host with these further arguments.
    pub fn start(&self, args: &[&str]) -> Host {
        self.start_with(args, &[])
    }

    /// Starts a host with these further arguments and environment variables.
    pub fn start_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Host {
        Host::spawn(command(self.binary).arg("run").args(self.args(args)).envs(variables.iter().copied()))
    }

    /// Starts a host, and kills it when it has written this number of lines that contain all of these texts. The host is at most
    /// a little further at that time: a line is written when it is logged, and read at once.
    pub fn kill_at(&self, args: &[&str], texts: &[&str], times: usize) {
        let (read, write) = std::io::pipe().expect("a pipe");
        let mut command = command(self.binary);
        command.arg("run").args(self.args(args)).stdin(Stdio::null());
        command.stdout(write.try_clone().expect("a pipe has many ends")).stderr(write);
        let mut child = command.spawn().expect("the host can be run");
        let pid = libc::pid_t::try_from(child.id()).expect("a pid fits pid_t");
        let (reached_it, waiting) = mpsc::channel::<()>();
        let watchdog = thread::spawn(move || {
            if waiting.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                // SAFETY: kill takes no pointers, and the pid is our child's, which is waited for after this thread only.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        // These handles would keep the pipe open.
        drop(command);
        let mut lines = BufReader::new(read).lines().map_while(Result::ok);
        let mut last = Vec::new();
        let reached = lines.by_ref().filter(|line| {
            last.push(line.clone());
            texts.iter().all(|text| line.contains(text))
        });
        let count = reached.take(times).count();
        drop(reached_it);
        watchdog.join().expect("a watchdog that ends");
        child.kill().expect("our child can be killed");
        child.wait().expect("our child can be waited for");
        let last = &last[last.len().saturating_sub(20)..];
        assert_eq!(count, times, "{texts:?} did not come so often:\n{}", last.join("\n"));
    }

    /// Runs a host to the end of the input, which must succeed.
    pub fn run_to_end(&self, args: &[&str]) -> Ended {
        let args: Vec<&str> = args.iter().copied().chain(["--until-end"]).collect();
        let ended = self.start(&args).wait();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        ended
    }
}

/// The binary, without the environment variables of the tests; and without an admin server, unless a flag asks
/// for one, as many hosts of tests run side by side.
pub fn command(binary: &str) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MAPPER_")) {
        command.env_remove(name);
    }
    command.env("MAPPER_ADMIN", "off");
    command
}

/// A terminal of 24 lines of 100 characters: the controlling end, which reads the output, and the end of the program.
fn terminal() -> (File, File) {
    // Not by openpty(3): processes that other tests start meanwhile would inherit both ends, and keep the terminal open.
    let controller = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx");
    let controller = controller.expect("a terminal");
    let fd = controller.as_raw_fd();
    let size = libc::winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open as long as `controller` is, and the size is ours to read.
    let sized = unsafe { libc::unlockpt(fd) == 0 && libc::ioctl(fd, libc::TIOCSWINSZ, &raw const size) == 0 };
    assert!(sized, "a terminal: {}", std::io::Error::last_os_error());
    // SAFETY: it takes no pointers, and the descriptor is open.
    let terminal = unsafe { libc::ioctl(fd, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(terminal >= 0, "a terminal: {}", std::io::Error::last_os_error());
    // SAFETY: it was just opened, and has no other owner.
    (controller, unsafe { File::from_raw_fd(terminal) })
}

impl Host {
    /// Starts a host by this command.
    pub fn spawn(command: &mut Command) -> Self {
        let log = NamedTempFile::new().expect("a file for the log");
        // Both append; otherwise they would overwrite each other.
        let open = || File::options().append(true).open(log.path()).expect("the file that was made");
        let child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn().expect("the host can be run");
        Self { child, log, copier: None }
    }

    /// Starts a host whose stderr, and stdout with `with_stdout`, is a terminal; otherwise stdout is closed.
    pub fn spawn_at_terminal(mut command: Command, with_stdout: bool) -> Self {
        let (mut controller, terminal) = terminal();
        let end = || terminal.try_clone().expect("an end has copies");
        let stdout = if with_stdout { Stdio::from(end()) } else { Stdio::null() };
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(end()).spawn().expect("the host can be run");
        let log = NamedTempFile::new().expect("a file for the log");
        let mut copy = log.reopen().expect("the file that was made");
        // Ends with an error when the last process closes the terminal.
        let copier = thread::spawn(move || drop(std::io::copy(&mut controller, &mut copy)));
        Self { child, log, copier: Some(copier) }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its output so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// Waits until its output contains this text.
    pub fn wait_for(&mut self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until its output contains this text this number of times.
    pub fn wait_for_times(&mut self, text: &str, times: usize) {
        let deadline = Instant::now() + END_TIMEOUT;
        while self.output().matches(text).count() < times {
            assert!(Instant::now() < deadline, "'{text}' never came:\n{}", self.output());
            assert!(
                self.child.try_wait().expect("our child").is_none(),
                "it ended without '{text}':\n{}",
                self.output()
            );
            thread::sleep(POLL);
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, as `libc::SIGTERM`.
    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a pid fits pid_t");
        // SAFETY: kill takes no pointers, and the pid is our child's, which was not waited for yet.
        unsafe { libc::kill(pid, signal) };
    }

    /// Kills it (SIGKILL), and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("our child can be killed");
        self.child.wait().expect("our child can be waited for");
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + END_TIMEOUT;
        let status: ExitStatus = loop {
            match self.child.try_wait().expect("our child can be waited for") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "the host doesn't end:\n{}", self.output()),
            }
            thread::sleep(POLL);
        };
        if let Some(copier) = self.copier.take() {
            copier.join().expect("a copier that ends");
        }
        Ended { code: status.code(), output: self.output() }
    }

    /// Stops it (SIGTERM), and waits for its end.
    pub fn stop(self) -> Ended {
        self.signal(libc::SIGTERM);
        self.wait()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            eprintln!("the last {} lines of host {}:\n{}", shown.len(), self.child.id(), shown.join("\n"));
        }
    }
}
