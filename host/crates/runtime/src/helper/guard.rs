//! A thread in each helper process that enforces the resource limits, and exits when the parent process is gone.

use std::time::Duration;

use super::{Bounds, OUT_OF_MEMORY, OUT_OF_TIME, PARENT_GONE};

const INTERVAL: Duration = Duration::from_millis(20);
#[cfg(target_os = "linux")]
const FIRST_OTHER_DESCRIPTOR: libc::c_uint = 3;

/// Call this first in a helper process, before it opens file descriptors.
///
/// # Errors
/// The thread can't be started.
pub(super) fn start(parent: u32, bounds: Bounds) -> std::io::Result<()> {
    isolate();
    let initial_peak = peak_bytes();
    std::thread::Builder::new().name("guard".into()).spawn(move || {
        loop {
            if std::os::unix::process::parent_id() != parent {
                exit(PARENT_GONE);
            }
            if bounds.cpu.is_some_and(|limit| cpu_time() > limit) {
                exit(OUT_OF_TIME);
            }
            let is_exceeded = match resident_bytes() {
                Some(resident) => resident > bounds.memory_bytes,
                // The peak includes the memory before exec.
                None => peak_bytes() > bounds.memory_bytes.max(initial_peak),
            };
            if is_exceeded {
                exit(OUT_OF_MEMORY);
            }
            std::thread::sleep(INTERVAL);
        }
    })?;
    Ok(())
}

/// Exits without cleanup, because other threads may hold locks.
fn exit(code: u8) -> ! {
    // SAFETY: `_exit` takes no pointers.
    unsafe { libc::_exit(code.into()) }
}

/// Isolates the process from the host. The host handles signals to the process group. The process doesn't inherit the file
/// descriptors of the host. When memory runs out, the kernel kills this process first.
fn isolate() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: `signal` takes no pointers, and no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer to `no_core` is valid.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) };
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the call takes no pointers, and this process doesn't use any of these descriptors yet. Old kernels return an error.
        unsafe { libc::syscall(libc::SYS_close_range, FIRST_OTHER_DESCRIPTOR, libc::c_uint::MAX, 0) };
        // Otherwise the kernel chooses the victim by size, which may be the host.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    }
}

fn usage() -> libc::rusage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for writes, and an all-zero `rusage` is valid.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    }
}

/// CPU time over all threads.
fn cpu_time() -> Duration {
    let usage = usage();
    let duration = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

/// Resident memory (`proc_pid_statm(5)`).
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: `sysconf` takes no pointers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages.saturating_mul(u64::try_from(page).ok()?))
}

/// Peak resident memory (`getrusage(2)`).
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
