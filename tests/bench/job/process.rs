//! A job as a process, and what it used: time, CPU and memory, taken from outside and for every job alike.

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A running job. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// What it wrote.
    pub(crate) log: PathBuf,
    started: Instant,
    peak_rss_kib: u64,
    ended: Option<Usage>,
}

/// What a job used in all.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// From its start to its end.
    pub(crate) elapsed: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory it had at once.
    pub(crate) peak_rss_kib: u64,
}

impl Process {
    /// Starts it; what it writes goes to that file.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("{:?} can't be run", command.get_program()))?;
        Ok(Self { child, log, started, peak_rss_kib: 0, ended: None })
    }

    /// The time since its start.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What it used, once it has ended well; `None` as long as it runs. Memory is only seen if this is called often.
    pub(crate) fn poll(&mut self) -> Result<Option<Usage>> {
        if self.ended.is_some() {
            return Ok(self.ended);
        }
        self.peak_rss_kib = self.peak_rss_kib.max(self.rss_high_water_kib().unwrap_or(0));
        let pid = libc::pid_t::try_from(self.child.id())?;
        let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
        // SAFETY: the child is ours and was not waited for yet, and both pointers are valid.
        let answer = unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, usage.as_mut_ptr()) };
        if answer == 0 {
            return Ok(None);
        }
        let elapsed = self.age();
        // SAFETY: zeroes are a valid rusage, and the call has filled it.
        let usage = unsafe { usage.assume_init() };
        let cpu = time(usage.ru_utime) + time(usage.ru_stime);
        self.ended = Some(Usage { elapsed, cpu, peak_rss_kib: self.peak_rss_kib });
        if answer != pid || status != 0 {
            bail!("a job failed (wait status {status:#x}):\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
        Ok(self.ended)
    }

    /// Not `ru_maxrss`: that of a child is never less than what its parent had when it was started.
    fn rss_high_water_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) -> Result<()> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        if self.ended.is_none() {
            // SAFETY: kill takes no pointers, and the pid is our child's, which was not waited for yet.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        Ok(())
    }
}

fn time(time: libc::timeval) -> Duration {
    let micros = time.tv_sec * 1_000_000 + time.tv_usec;
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
