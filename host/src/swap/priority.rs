//! The priority of threads that do what can wait.

/// How nice a thread is that maps nothing that anyone waits for: it gets what the others leave, and not nothing.
const NICE: i32 = 15;

/// Lowers the priority of this thread. On Linux each thread has its own; elsewhere nothing is changed.
pub fn lower() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: it takes no pointers; 0 is the calling thread.
        let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
        if done != 0 {
            tracing::debug!(error = %std::io::Error::last_os_error(), "the priority of a thread can't be lowered");
        }
    }
}
