//! The priority of threads that do what can wait.

/// How nice a thread is that maps nothing that anyone waits for: it gets what the others leave, and not nothing.
const NICE: i32 = 15;

/// Lowers the priority of this thread. On Linux each thread has its own; elsewhere nothing is changed.
pub fn lower() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the priority of a thread can't be lowered");
    }
}
