//! Starts the threads other than the workers and handles their panics.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle, Scope};

use mapper_telemetry::{Role, Telemetry, Threads};

/// A thread ended by a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

/// Starts a thread that only watches or reports. A panic is logged and counted in `/status` and `/metrics`. The host continues
/// without the thread.
///
/// # Errors
/// If the thread cannot be started.
pub fn spawn_watcher<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &'static str,
    threads: &'scope Threads,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    let watcher = Builder::new().name(name.to_owned()).spawn_scoped(scope, move || {
        // The panic would end the scope, too.
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            threads.panicked(name, Role::Watcher);
            tracing::error!(thread = name, "a thread panicked; the host continues without it, see the error before");
        }
    });
    watcher.map(drop)
}

/// Starts a thread that the host needs. A panic fails `/livez`, and `on_panic` ends the host.
///
/// # Errors
/// If the thread cannot be started.
pub fn spawn_essential(
    name: &'static str,
    telemetry: Arc<Telemetry>,
    work: impl FnOnce() + Send + 'static,
    on_panic: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<Result<(), Panicked>>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
            telemetry.threads.panicked(name, Role::Essential);
            tracing::error!(thread = name, "a thread panicked; the host ends, see the error before");
            on_panic();
            Panicked
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn panic_of_a_watcher_is_counted_and_ends_no_other_thread() {
        let telemetry = Telemetry::default();
        let (sender, received) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            spawn_watcher(scope, "watches", &telemetry.threads, || panic!("on purpose")).unwrap();
            spawn_watcher(scope, "reports", &telemetry.threads, move || sender.send(7).unwrap()).unwrap();
        });
        assert_eq!(received.recv(), Ok(7));
        assert_eq!(telemetry.threads.panics(), BTreeMap::from([("watches", 1)]));
        assert_eq!((telemetry.stuck(), telemetry.not_ready()), (vec![], vec![]));
    }

    #[test]
    fn panic_of_an_essential_thread_fails_livez_before_it_ends_the_host() {
        let telemetry = Arc::new(Telemetry::default());
        let (sender, seen) = std::sync::mpsc::channel();
        let shown = telemetry.clone();
        let on_panic = move || sender.send(shown.stuck()).unwrap();
        let thread = spawn_essential("swap", telemetry.clone(), || panic!("on purpose"), on_panic).unwrap();
        assert_eq!(thread.join().unwrap(), Err(Panicked));
        assert_eq!(seen.recv().unwrap(), ["the thread 'swap' has panicked"]);
        let thread = spawn_essential("other", telemetry.clone(), || (), || unreachable!("it did not panic")).unwrap();
        assert_eq!(thread.join().unwrap(), Ok(()));
        assert_eq!(telemetry.stuck().len(), 1);
    }
}
