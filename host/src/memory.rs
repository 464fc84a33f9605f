//! How the process takes memory from the kernel.

/// Keeps this process from transparent huge pages, on Linux.
///
/// mimalloc asks for huge pages (`MADV_HUGEPAGE`) for all of its heap. It gives freed pages back one by one, but the kernel
/// (khugepaged) makes huge pages again of every 2 MiB in which one page is left. So a host kept what a compilation had needed, and grew
/// as that was scattered: 155 MiB after 50 swaps instead of 97, and 188 once the kernel had been everywhere. Other allocators have the
/// same trouble where huge pages are on for everything. No difference in CPU time was seen.
pub fn disable_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "transparent huge pages can't be disabled: memory may grow with each swap");
    }
}
