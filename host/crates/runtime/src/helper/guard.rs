//! The bounds of a helper process, which it watches itself: it ends when it exceeds one, and when its parent is gone.

use std::time::Duration;

use super::{Bounds, OUT_OF_MEMORY, OUT_OF_TIME, PARENT_GONE};

const INTERVAL: Duration = Duration::from_millis(20);
/// The first descriptor after standard input, output and error.
#[cfg(target_os = "linux")]
const FIRST_OTHER_DESCRIPTOR: libc::c_uint = 3;

/// Starts the thread that watches. To be called before anything else in a helper process.
///
/// # Errors
/// When there can be no thread.
pub(super) fn start(parent: u32, bounds: Bounds) -> std::io::Result<()> {
    isolate();
    let at_start = peak_bytes();
    std::thread::Builder::new().name("guard".into()).spawn(move || {
        loop {
            if std::os::unix::process::parent_id() != parent {
                end(PARENT_GONE);
            }
            if bounds.cpu.is_some_and(|most| cpu_time() > most) {
                end(OUT_OF_TIME);
            }
            let exceeds = match resident_bytes() {
                Some(resident) => resident > bounds.memory_bytes,
                // The peak includes that of the process before it executed this program.
                None => peak_bytes() > bounds.memory_bytes.max(at_start),
            };
            if exceeds {
                end(OUT_OF_MEMORY);
            }
            std::thread::sleep(INTERVAL);
        }
    })?;
    Ok(())
}

/// At once: whatever else this process does is of no more use.
fn end(code: u8) -> ! {
    // SAFETY: it takes no pointers.
    unsafe { libc::_exit(code.into()) }
}

/// Keeps the process apart from the host: signals to the process group or the service are the host's to handle, the host's
/// descriptors are no business of it, and when memory runs out the kernel should end this process first.
fn isolate() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: it takes no pointers; no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is ours to read.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) };
    #[cfg(target_os = "linux")]
    {
        // SAFETY: it takes no pointers, and nothing in this process uses a descriptor of these yet. An older kernel refuses it.
        unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER_DESCRIPTOR, libc::c_uint::MAX, 0) };
        // Without it the kernel chooses by size alone.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
}

fn usage() -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: it is given a place to write to, which is valid when it is all zeros.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    }
}

/// The CPU time of all threads of this process.
fn cpu_time() -> Duration {
    let usage = usage();
    let of = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// The memory of this process that is in RAM (`proc_pid_statm(5)`).
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: it takes no pointers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages.saturating_mul(u64::try_from(page).ok()?))
}

/// The most memory that this process ever had in RAM (`getrusage(2)`).
fn peak_bytes() -> u64 {
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    (usage().ru_maxrss as u64).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_cpu_time_are_measured() {
        let block = std::hint::black_box(vec![1_u8; 32 << 20]);
        let resident = resident_bytes().expect("Linux has it");
        assert!(resident > block.len() as u64 && peak_bytes() > block.len() as u64, "{resident}");
        let before = cpu_time();
        while cpu_time() == before {
            std::hint::spin_loop();
        }
    }
}
