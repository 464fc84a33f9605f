//! How the process takes memory from the kernel.

/// Keeps this process from transparent huge pages, on Linux.
///
/// mimalloc asks for huge pages (`MADV_HUGEPAGE`) for all of its heap. It gives freed pages back one by one, but the kernel
/// (khugepaged) makes huge pages again of every 2 MiB in which one page is left. So a host kept the most that it ever needed, and
/// more with each swap that compiled: measured were 155 MiB instead of 100 after 50 swaps, and three times the memory after some
/// minutes. Other allocators have the same trouble where huge pages are on for everything.
pub fn disable_huge_pages() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: it takes no pointers; what is set is a flag of this process, which its children have, too.
        let done = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
        if done != 0 {
            let error = std::io::Error::last_os_error();
            tracing::debug!(%error, "transparent huge pages can't be disabled: memory may grow with each swap");
        }
    }
}
