//! A job as a tree of processes, and what they use: taken from outside, from /proc, and for every job alike.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// New processes of the tree are looked for this often.
const SCAN_EVERY: Duration = Duration::from_millis(200);
/// How long a job may take to end after SIGTERM.
const END_TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);
/// The part of the end of a log that an error shows.
const LOG_TAIL_BYTES: usize = 2048;

/// A running job. Dropping it kills all of its processes.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    started: Instant,
    scanned: Option<Instant>,
    /// By pid, with the time of the start, as pids are used again.
    members: HashMap<u32, u64>,
    usage: Usage,
    ended: Option<ExitStatus>,
}

/// What a job has used so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time of all its processes.
    pub(crate) cpu: Duration,
    /// The most memory that its processes had at once. What they share counts for each.
    pub(crate) peak_rss_bytes: u64,
}

/// The fields of `/proc/PID/stat` that are needed.
struct Stat {
    parent: u32,
    group: u32,
    started: u64,
    cpu_ticks: u64,
    rss_pages: u64,
}

impl Process {
    /// Starts it in a process group of its own; what it writes goes to that file.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("{:?} can't be run", command.get_program()))?;
        let (members, usage) = (HashMap::new(), Usage::default());
        Ok(Self { child, log, started, scanned: None, members, usage, ended: None })
    }

    /// The time since its start.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What it has used so far. It is only exact if this is called often.
    pub(crate) fn usage(&mut self) -> Usage {
        if self.scanned.is_none_or(|at| at.elapsed() >= SCAN_EVERY) {
            self.members.extend(tree(self.child.id()));
            self.scanned = Some(Instant::now());
        }
        let stats = self.members.iter().filter_map(|(pid, started)| {
            let stat = Stat::read(*pid)?;
            (stat.started == *started).then_some(stat)
        });
        let (ticks, pages) =
            stats.fold((0, 0), |(ticks, pages), stat| (ticks + stat.cpu_ticks, pages + stat.rss_pages));
        let cpu = Duration::from_secs_f64(ticks as f64 / system(libc::_SC_CLK_TCK) as f64);
        // What a process used is gone with it, if nobody waited for it.
        self.usage.cpu = self.usage.cpu.max(cpu);
        self.usage.peak_rss_bytes = self.usage.peak_rss_bytes.max(pages * system(libc::_SC_PAGESIZE));
        self.usage
    }

    /// Its exit status, once it has ended by itself.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// The end of what it wrote.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Asks all of its processes to end, and kills those that don't.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.members.extend(tree(self.child.id()));
        self.signal(libc::SIGTERM);
        let deadline = Instant::now() + END_TIMEOUT;
        while Instant::now() < deadline {
            let has_ended = self.ended()?.is_some();
            if has_ended && self.members.iter().all(|(pid, started)| !is_alive(*pid, *started)) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        self.kill();
        Ok(())
    }

    fn signal(&self, signal: libc::c_int) {
        for member in self.members.iter().filter(|(pid, started)| is_alive(**pid, **started)) {
            if let Ok(pid) = libc::pid_t::try_from(*member.0) {
                // SAFETY: kill takes no pointers. The pid is of the job, as its start was just compared.
                unsafe { libc::kill(pid, signal) };
            }
        }
    }

    fn kill(&mut self) {
        self.members.extend(tree(self.child.id()));
        self.signal(libc::SIGKILL);
        if self.ended.is_none() {
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_alive(pid: u32, started: u64) -> bool {
    Stat::read(pid).is_some_and(|stat| stat.started == started)
}

/// The processes below this one, and those of its group whose parents have ended, each with the time of its start.
fn tree(root: u32) -> HashMap<u32, u64> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: HashMap<u32, Stat> = pids.filter_map(|pid| Some((pid, Stat::read(pid)?))).collect();
    let is_below = |pid: u32| {
        let mut at = pid;
        while let Some(stat) = all.get(&at) {
            if at == root || stat.group == root {
                return true;
            }
            at = stat.parent;
        }
        false
    };
    all.iter().filter(|(pid, _)| is_below(**pid)).map(|(pid, stat)| (*pid, stat.started)).collect()
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program is in brackets, and may have spaces and brackets in it.
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        // As numbered by proc(5), whose third field is the first one here.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            group: u32::try_from(field(5)?).ok()?,
            // Of the process itself, and of its children that it has waited for.
            cpu_ticks: field(14)? + field(15)? + field(16)? + field(17)?,
            started: field(22)?,
            rss_pages: field(24)?,
        })
    }
}

fn system(name: libc::c_int) -> u64 {
    // SAFETY: sysconf takes no pointers.
    u64::try_from(unsafe { libc::sysconf(name) }).expect("Linux has a value for it")
}

/// The end of a log.
pub(crate) fn tail(log: &Path) -> String {
    let log = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
}
