//! The priority of background threads.

/// The nice value of a background thread. It gets the time that workers leave, and still makes progress.
const NICE: i32 = 15;

/// Lowers the priority of the current thread. Only Linux has a priority per thread.
pub fn lower_current_thread() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "failed to lower the priority of a thread");
    }
}
