//! The versions of a pipeline: the journal, the slot, the swap thread and the watch of the plugin file.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{JoinHandle, Scope};
use std::time::{Duration, Instant};

use super::Control;
use super::candidate::PluginLoader;
use crate::config::{Delivery, PipelineSpec};
use crate::schema_registry::PipelineMapper;
use crate::threads::{Panicked, spawn_essential, spawn_watcher};
use mapper_core::decision::Routes;
use mapper_core::identity::Digest;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::topic_table::TopicTable;
use mapper_runtime::Plugin;
use mapper_state::StateClaim;
use mapper_state::files;
use mapper_state::files::PLUGIN_LIMIT;
use mapper_telemetry::Telemetry;
use mapper_versions::history::Version;
use mapper_versions::journal::Journal;
use mapper_versions::priority;
use mapper_versions::probation::ProbationSettings;
use mapper_versions::slot::{ActiveVersion, Slot};
use mapper_versions::store::Store;
use mapper_versions::swapper::{LoadedVersion, Policy, RequestQueue, SwapContext, Swapper};
use mapper_versions::watch::{Reload, Watch};

/// The longest time that an answer waits for a blocked worker, for example while Kafka does not answer.
const SWITCH_ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest time that the swap thread may take to end after the workers. It has no work that must be completed.
const END_PATIENCE: Duration = Duration::from_secs(2);
const END_POLL: Duration = Duration::from_millis(5);

/// The versions of one generation.
pub struct Versions {
    /// The slot of the workers.
    pub slot: Arc<Slot<PipelineMapper>>,
    /// The version to begin with.
    pub active_version: Arc<ActiveVersion>,
    /// The control for the admin server.
    pub control: Arc<Control>,
    swapper: Swapper<PluginLoader>,
    watch: Watch,
    reload: Reload,
    plugin: (PathBuf, Digest),
    claim: Option<Arc<StateClaim>>,
}

impl Versions {
    /// Opens the history of earlier runs and starts a term of this plugin.
    pub fn open(
        (spec, topics): (&PipelineSpec, Arc<TopicTable>),
        claim: Option<Arc<StateClaim>>,
        (plugin, loader): (Arc<Plugin>, PluginLoader),
        routes: Arc<Routes>,
        reload: Reload,
    ) -> Self {
        let (journal, store) = match claim.as_deref().map(open_history).transpose() {
            Ok(Some((journal, store))) => (journal, Some(store)),
            Ok(None) => (Journal::in_memory(), None),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "failed to open the history of versions; it ends with this process");
                (Journal::in_memory(), None)
            }
        };
        let digest = plugin.identity.digest;
        let (term, last) = journal.start_with(Version::from(&plugin.identity));
        match &last {
            Some(last) if last.digest != term.version.digest => tracing::warn!(
                version = %term.version, last = %last,
                "the plugin file has another version than the last run; the host runs the file"
            ),
            _ => {}
        }
        let active_version =
            Arc::new(ActiveVersion { term: term.number, version: term.version, contract: plugin.identity.contract });
        let seen_at_once = spec.delivery == Delivery::AtLeastOnce;
        let probation = ProbationSettings { records: spec.swap.probation, tolerance: spec.swap.probation_tolerance };
        let slot = Slot::new(spec.workers, term.number, probation.records, Arc::new(journal), seen_at_once);
        let slot = Arc::new(slot.with_topics(topics));
        let requests = Arc::new(RequestQueue::new(slot.wakeup.clone()));
        let policy = Policy { max_broken: spec.swap.max_regressions, probation, answer_timeout: SWITCH_ANSWER_TIMEOUT };
        let first = LoadedVersion { plugin, active: active_version.clone() };
        let context = SwapContext { routes: routes.clone(), policy, store: store.clone() };
        let swapper = Swapper::new(loader, first, slot.clone(), requests.clone(), context);
        let watch = Watch::new(&spec.plugin, digest, requests.clone(), reload.clone(), spec.swap.watch);
        let control = Arc::new(Control::new(requests, slot.clone(), routes, store));
        let plugin = (spec.plugin.clone(), digest);
        Self { slot, active_version, control, swapper, watch, reload, plugin, claim }
    }

    /// Starts the swap thread and the watch, until the workers end. A panic of the swap thread requests their end.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        workers_end: &'scope Shutdown,
        telemetry: &'scope Arc<Telemetry>,
    ) -> std::io::Result<Running> {
        let Self { control, swapper, watch, reload, plugin: (path, digest), claim, .. } = self;
        let end = workers_end.clone();
        let here = tracing::Span::current();
        let watching_here = here.clone();
        let swap = move || {
            let _here = here.enter();
            priority::lower_current_thread();
            // The watch reports a file that has changed since.
            if let Some(bytes) =
                files::read(&path, PLUGIN_LIMIT).ok().filter(|bytes| Digest::hash_bytes(bytes) == digest)
            {
                swapper.store_first(&bytes);
            }
            swapper.run(&end);
        };
        // Not in the scope, which would wait for it without a limit.
        let swapping = start_swapping(swap, control.requests.clone(), telemetry.clone(), workers_end.clone())?;
        let watch = move || watching_here.in_scope(|| watch.run(workers_end));
        spawn_watcher(scope, "plugin-file", &telemetry.threads, watch)?;
        Ok(Running { reload, swapping, claim })
    }
}

/// Starts the swap thread. If it panics, all requests get an error, and the workers end.
fn start_swapping(
    swap: impl FnOnce() + Send + 'static,
    requests: Arc<RequestQueue>,
    telemetry: Arc<Telemetry>,
    workers_end: Shutdown,
) -> std::io::Result<JoinHandle<Result<(), Panicked>>> {
    spawn_essential("swap", telemetry, swap, move || {
        requests.close_after_panic();
        workers_end.request();
    })
}

/// The threads; they end with the workers.
pub struct Running {
    reload: Reload,
    swapping: JoinHandle<Result<(), Panicked>>,
    claim: Option<Arc<StateClaim>>,
}

impl Running {
    /// Wakes the watch of the file and waits for the swap thread, at most for
    /// the drain timeout. After that it ends with the process.
    ///
    /// # Errors
    /// If the swap thread panicked.
    pub fn end(self, drained_by: Instant) -> Result<(), Halt> {
        self.reload.wake();
        let deadline = drained_by.min(Instant::now() + END_PATIENCE);
        while !self.swapping.is_finished() {
            if Instant::now() >= deadline {
                // No other process may claim the slot before this one ends: the thread may still write to it.
                std::mem::forget(self.claim);
                tracing::warn!("ended without waiting for the swap in progress");
                return Ok(());
            }
            std::thread::sleep(END_POLL);
        }
        swapped(self.swapping)
    }
}

/// The result of the swap thread.
fn swapped(swapping: JoinHandle<Result<(), Panicked>>) -> Result<(), Halt> {
    match swapping.join() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Panicked)) | Err(_) => Err(Halt::internal(anyhow::anyhow!(
            "the swap thread panicked: this is a bug of the host; see the error in the log. No record is lost. Start the host again and report \
             the error"
        ))),
    }
}

/// The history of the claimed slot, with the plugins of earlier versions.
fn open_history(claim: &StateClaim) -> anyhow::Result<(Journal, Store)> {
    let dir = claim.history_dir()?;
    let store = Store::of_history(&dir);
    Ok((Journal::open(dir)?, store))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapper_core::shutdown::Cause;
    use mapper_versions::swapper::{Busy, Request};

    #[test]
    fn panic_of_the_swap_thread_fails_livez_and_ends_the_host_with_an_error() {
        let requests = Arc::new(RequestQueue::new(Arc::default()));
        let (telemetry, workers_end) = (Arc::new(Telemetry::default()), Shutdown::default());
        let panics = || panic!("on purpose");
        let thread = start_swapping(panics, requests.clone(), telemetry.clone(), workers_end.clone()).unwrap();
        let halt = swapped(thread).unwrap_err();
        assert!(halt.cause == Cause::Internal && halt.reason().contains("the swap thread panicked"), "{halt}");
        assert!(workers_end.requested());
        assert_eq!(telemetry.stuck(), ["the thread 'swap' has panicked"]);
        assert_eq!(requests.submit(Request::StopShadow).unwrap_err(), Busy::Panicked);
        let ends = start_swapping(|| (), requests, telemetry, workers_end).unwrap();
        assert!(swapped(ends).is_ok());
    }
}
