//! The memory of the process.

/// Disables transparent huge pages for this process, on Linux.
///
/// mimalloc requests huge pages (`MADV_HUGEPAGE`) for its heap and frees single pages. The kernel
/// (khugepaged) merges every 2 MiB with one page in use into a huge page again. So a host kept the memory of its compilations and grew:
/// 155 MiB after 50 swaps instead of 97, later 188. Other allocators have the
/// same problem if huge pages are enabled for all memory. The CPU time did not differ.
pub fn disable_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "failed to disable transparent huge pages; memory may grow with each swap");
    }
}
