//! The resource usage of the process, from `/proc` of Linux (proc(5)).

use std::fs;

/// Ticks a second in `/proc/self/stat`: `USER_HZ`, which is 100 on every architecture that Rust has.
const TICKS: f64 = 100.0;
/// The fields of CPU time in `/proc/self/stat`, counted from the state, which is the first after the name.
const USER_TIME: usize = 11;

/// The resource usage of the process.
pub(crate) struct Used {
    /// CPU time of user and system, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Memory that is in RAM.
    pub(crate) resident_bytes: u64,
    /// Open file descriptors.
    pub(crate) open_files: usize,
}

/// Reads the resource usage; `None` without `/proc`.
pub(crate) fn used() -> Option<Used> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let open_files = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(Used { cpu_seconds: cpu_seconds(&stat)?, resident_bytes: resident_bytes(&status)?, open_files })
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name in brackets may contain blanks and brackets.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(USER_TIME).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) as f64 / TICKS)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_parsed() {
        let stat = "77 (a ) b) R 1 77 77 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 1 0 100 1000 20 18446744073709551615";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("77 (host) R 1"), None);
        assert_eq!(resident_bytes("Name:\thost\nVmRSS:\t    1024 kB\nThreads:\t2\n"), Some(1 << 20));
        assert_eq!(resident_bytes("Name:\thost\n"), None);
    }
}
