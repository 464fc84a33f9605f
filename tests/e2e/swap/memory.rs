//! Memory of a host: the temporary memory of a swap is returned to the kernel.

use harness::kafka::Kafka;

use super::*;

/// Huge pages prevented that (`mapper_host::memory`). The amount needs minutes to measure: `cargo bench -p host --bench swap`.
#[cfg(target_os = "linux")]
#[test]
fn running_host_has_no_transparent_huge_pages() {
    let file = File::new("one");
    let job = job("huge-pages", Kafka::shared(), &file.path());
    let host = job.start(&ARGS);
    warm_up(&job, 20);
    let read = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", host.id())).expect("a process of ours");
    let status = read("status");
    assert!(status.lines().any(|line| line.starts_with("THP_enabled:") && line.ends_with("\t0")), "{status}");
}
