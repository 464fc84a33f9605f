//! Starts the threads beside the workers, so that a panic of one of them is seen and has its consequence.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle, Scope};

use mapper_telemetry::{Role, Telemetry, Threads};

/// A thread ended by a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

/// Starts a thread that only watches or reports. If it panics, that is logged and shown in `/status` and `/metrics`; the host goes on,
/// and ends as it would have.
///
/// # Errors
/// When no thread can be started.
pub fn spawn_watcher<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &'static str,
    threads: &'scope Threads,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    let watcher = Builder::new().name(name.to_owned()).spawn_scoped(scope, move || {
        // The scope would panic, too.
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            threads.panicked(name, Role::Watcher);
            tracing::error!(thread = name, "a thread panicked; the host goes on without it, see the error before");
        }
    });
    watcher.map(drop)
}

/// Starts a thread that the host can't do without. If it panics, `/livez` fails, and `on_panic` sees to it that the host ends.
///
/// # Errors
/// When no thread can be started.
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
    fn panic_of_a_watcher_is_counted_and_ends_neither_its_scope_nor_others() {
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
    fn panic_of_an_essential_thread_makes_the_host_not_alive_before_it_has_its_consequence() {
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
