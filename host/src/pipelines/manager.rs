//! Starts, supervises, restarts and drains the pipelines of a process. One queue has all their events, which the manager handles one after
//! the other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::Span;

use super::cluster::Cluster;
use super::config_file::{ConfigFile, Reread};
use super::generation::{self, Outcome, Shared, Signals};
use super::registry::{Entry, PipelineRegistry, State};
use super::restart::{Backoff, can_help};
use super::supervise::Workers;
use crate::config::{PipelineSpec, RunConfig};
use crate::dlq::PipelineLetters;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_versions::Reload;

/// The interval of checks for shutdown and reload requests.
const POLL: Duration = Duration::from_millis(20);

/// The policy for a pipeline that halts, and the naming of pipelines in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The first pipeline that halts ends the process. Otherwise the others continue, and the manager restarts it if a restart can help.
    pub fail_fast: bool,
    /// Whether log lines name their pipeline.
    pub names_pipelines: bool,
}

/// A generation ended.
struct Ended {
    name: String,
    outcome: Outcome,
}

/// The next state of a pipeline after the end of its generation.
enum Goal {
    Run,
    Remove,
    Replace(Box<PipelineSpec>),
}

/// The state of a pipeline.
enum Phase {
    Running(JoinHandle<()>),
    /// It halted and restarts at this time.
    Waiting(Instant),
    /// It ended and does not restart by itself.
    Settled,
}

/// A managed pipeline.
struct Managed {
    spec: PipelineSpec,
    entry: Arc<Entry>,
    signals: Signals,
    goal: Goal,
    phase: Phase,
    started: Instant,
    backoff: Backoff,
    /// The reason and the time of the last halt.
    failure: Option<(Instant, Halt)>,
    /// Workers of earlier generations that are still running.
    left: Workers,
}

impl Managed {
    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// The wanted spec; `None` to remove the pipeline.
    fn wanted(&self) -> Option<&PipelineSpec> {
        match &self.goal {
            Goal::Run => Some(&self.spec),
            Goal::Remove => None,
            Goal::Replace(spec) => Some(spec),
        }
    }
}

/// The manager of the pipelines of a process.
pub struct Manager {
    shared: Shared,
    registry: Arc<PipelineRegistry>,
    /// The cluster of a pipeline without brokers.
    embedded: Option<Cluster>,
    policy: Policy,
    pipelines: BTreeMap<String, Managed>,
    events: (Sender<Ended>, Receiver<Ended>),
    ending: bool,
}

impl Manager {
    /// Creates a manager without pipelines.
    pub fn new(shared: Shared, registry: Arc<PipelineRegistry>, embedded: Option<Cluster>, policy: Policy) -> Self {
        let events = mpsc::channel();
        Self { shared, registry, embedded, policy, pipelines: BTreeMap::new(), events, ending: false }
    }

    /// Runs these pipelines until all have ended, at the end of their input or after a shutdown. The caller can create their entries in the registry
    /// before.
    ///
    /// # Errors
    /// The reason of the first pipeline that halted and did not recover.
    pub fn run(
        mut self,
        config: &RunConfig,
        (shutdown, reload): (&Shutdown, &Reload),
        reread: Reread<'_>,
    ) -> Result<(), Halt> {
        let mut file = ConfigFile::of(config, reread);
        for spec in &config.pipelines {
            let entry = self.registry.get(&spec.name).unwrap_or_else(|| Entry::new(&spec.name, 1));
            self.add(spec.clone(), entry);
        }
        while !self.pipelines.values().all(|pipeline| matches!(pipeline.phase, Phase::Settled)) {
            match self.events.1.recv_timeout(POLL) {
                Ok(ended) => self.ended(ended),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the manager has a sender itself"),
            }
            let (now, is_asked) = (Instant::now(), reload.take());
            if is_asked {
                self.pipelines.values().for_each(|pipeline| pipeline.signals.reload.request());
            }
            if shutdown.requested() || self.ending {
                self.drain();
            } else if let Some(file) = &mut file
                && (is_asked || file.has_changed(now))
            {
                self.read(file, is_asked);
            }
            self.restart_due(now);
        }
        self.registry.redrives.finish();
        let failures = self.pipelines.into_values().filter_map(|pipeline| pipeline.failure);
        failures.min_by_key(|(at, _)| *at).map_or(Ok(()), |(_, halt)| Err(halt))
    }

    /// Adds a pipeline, and starts its first generation.
    fn add(&mut self, spec: PipelineSpec, entry: Arc<Entry>) {
        let name = spec.name.clone();
        let managed = Managed {
            spec,
            entry,
            signals: Signals::default(),
            goal: Goal::Run,
            phase: Phase::Settled,
            started: Instant::now(),
            backoff: Backoff::default(),
            failure: None,
            left: Workers::new(),
        };
        self.pipelines.insert(name.clone(), managed);
        self.start(&name);
    }

    /// Starts a generation of a pipeline that does not run.
    fn start(&mut self, name: &str) {
        let Some(pipeline) = self.pipelines.get_mut(name) else { return };
        pipeline.signals = Signals::default();
        pipeline.started = Instant::now();
        self.registry.insert(pipeline.entry.clone());
        let (spec, shared, entry) = (pipeline.spec.clone(), self.shared.clone(), pipeline.entry.clone());
        let (signals, events) = (pipeline.signals.clone(), self.events.0.clone());
        let cluster = match (&spec.brokers, &self.embedded) {
            (Some(brokers), _) => Cluster { brokers: brokers.clone(), is_durable: true },
            (None, Some(embedded)) => embedded.clone(),
            (None, None) => unreachable!("a pipeline without brokers is only accepted with an embedded broker"),
        };
        let letters = PipelineLetters::new(spec.clone(), cluster.clone(), shared.cache_dir.clone());
        entry.set_letters(Arc::new(letters));
        let span = if self.policy.names_pipelines { tracing::error_span!("pipeline", name) } else { Span::none() };
        let work = move || {
            let _here = span.enter();
            let run = AssertUnwindSafe(|| generation::run(&spec, &shared, &cluster, &entry, &signals));
            let outcome = catch_unwind(run).unwrap_or_else(|_| {
                let panicked = anyhow::anyhow!("a thread of the pipeline panicked; see the error before");
                Err(Halt::internal(panicked)).into()
            });
            // The manager exists until the process ends.
            let _ = events.send(Ended { name: spec.name.clone(), outcome });
        };
        match std::thread::Builder::new().name(format!("pipeline-{name}")).spawn(work) {
            Ok(thread) => pipeline.phase = Phase::Running(thread),
            Err(error) => {
                let halt = Halt::internal(anyhow::Error::new(error).context("starting the thread of the pipeline"));
                self.halted(name, halt);
            }
        }
    }

    /// Reads the settings file. An invalid file changes nothing. With `is_asked`, after a signal, halted pipelines restart
    /// even if their settings have not changed.
    fn read(&mut self, file: &mut ConfigFile<'_>, is_asked: bool) {
        match file.read() {
            Ok(config) => {
                self.registry.set_config_error(None);
                self.registry.set_pipeline_settings(config.settings.pipelines);
                self.reconcile(config.pipelines, is_asked);
            }
            Err(error) => {
                tracing::error!(error, "settings file not applied; all pipelines keep their settings");
                self.registry.set_config_error(Some(error));
            }
        }
    }

    /// Adds, removes and restarts pipelines to match these specs.
    fn reconcile(&mut self, specs: Vec<PipelineSpec>, is_asked: bool) {
        let names: Vec<String> = self.pipelines.keys().cloned().collect();
        for name in names.iter().filter(|name| specs.iter().all(|spec| spec.name != **name)) {
            tracing::info!(pipeline = name, "removing the pipeline: the settings file does not have it any more");
            self.pursue(name, Goal::Remove);
        }
        let mut unchanged = 0;
        for spec in specs {
            match self.pipelines.get(&spec.name) {
                None => {
                    tracing::info!(pipeline = spec.name, "adding the pipeline: it is new in the settings file");
                    let entry = Entry::new(&spec.name, 1);
                    self.add(spec, entry);
                }
                Some(managed) if managed.wanted() != Some(&spec) => {
                    tracing::info!(pipeline = spec.name, "restarting the pipeline: its settings have changed");
                    let name = spec.name.clone();
                    self.pursue(&name, Goal::Replace(Box::new(spec)));
                }
                Some(managed) if is_asked && managed.failure.is_some() && !managed.is_running() => {
                    tracing::info!(pipeline = spec.name, "restarting the halted pipeline: a signal requests a reload");
                    let name = spec.name.clone();
                    self.pursue(&name, Goal::Replace(Box::new(spec)));
                }
                Some(_) => unchanged += 1,
            }
        }
        tracing::info!(pipelines = self.pipelines.len(), unchanged, "read the settings file");
    }

    /// Sets the next state of a pipeline and drains it first if it runs.
    fn pursue(&mut self, name: &str, goal: Goal) {
        let Some(pipeline) = self.pipelines.get_mut(name) else { return };
        pipeline.goal = goal;
        if pipeline.is_running() {
            pipeline.signals.shutdown.request();
        } else {
            self.reach_goal(name);
        }
    }

    /// Applies the next state to a pipeline that does not run.
    fn reach_goal(&mut self, name: &str) {
        let Some(pipeline) = self.pipelines.get_mut(name) else { return };
        match std::mem::replace(&mut pipeline.goal, Goal::Run) {
            Goal::Run => {}
            Goal::Remove => {
                self.registry.redrives.stop(name);
                self.registry.remove(name);
                self.pipelines.remove(name);
            }
            Goal::Replace(spec) => {
                pipeline.spec = *spec;
                pipeline.backoff = Backoff::default();
                pipeline.failure = None;
                pipeline.phase = Phase::Waiting(Instant::now());
            }
        }
    }

    fn ended(&mut self, Ended { name, outcome: Outcome { ended, left } }: Ended) {
        let Some(pipeline) = self.pipelines.get_mut(&name) else { return };
        if let Phase::Running(thread) = std::mem::replace(&mut pipeline.phase, Phase::Settled) {
            // The thread ends after its last event; its panics were caught.
            let _ = thread.join();
        }
        pipeline.left.extend(left);
        if !matches!(pipeline.goal, Goal::Run) {
            if let Err(halt) = ended {
                tracing::warn!(pipeline = name, reason = halt.reason(), "the pipeline did not end cleanly");
            }
            return self.reach_goal(&name);
        }
        match ended {
            Ok(()) => {
                pipeline.failure = None;
                pipeline.entry.set_state(State::Ended);
            }
            Err(halt) => self.halted(&name, halt),
        }
    }

    /// Decides whether a halted pipeline restarts, and when.
    fn halted(&mut self, name: &str, halt: Halt) {
        let Some(pipeline) = self.pipelines.get_mut(name) else { return };
        let now = Instant::now();
        let restarts = !self.policy.fail_fast && !self.ending && can_help(halt.cause);
        let pause = restarts.then(|| pipeline.backoff.pause(pipeline.started.elapsed()));
        pipeline.phase = pause.map_or(Phase::Settled, |pause| Phase::Waiting(now + pause));
        if self.policy.names_pipelines {
            let (reason, restart_in_s) = (&halt.reason(), pause.map(|pause| pause.as_secs()));
            tracing::error!(pipeline = name, generation = pipeline.entry.generation(), restart_in_s, reason, "halted");
        }
        let restart_at = pause.map(|pause| now + pause);
        pipeline.entry.set_state(State::Halted { reason: halt.reason().clone(), restart_at });
        // The first of several halts in a row counts.
        let since = pipeline.failure.take().map_or(now, |(since, _)| since);
        pipeline.failure = Some((since, halt));
        self.ending |= self.policy.fail_fast;
    }

    /// Starts the next generation of pipelines after their pause, unless workers of the last one still run: they would
    /// compete for the same transactional ids.
    fn restart_due(&mut self, now: Instant) {
        let due = |pipeline: &&mut Managed| match pipeline.phase {
            Phase::Waiting(at) => at <= now && pipeline.left.iter().all(JoinHandle::is_finished),
            _ => false,
        };
        let mut names = Vec::new();
        for pipeline in self.pipelines.values_mut().filter(due) {
            pipeline.left.clear();
            pipeline.entry = Entry::new(&pipeline.spec.name, pipeline.entry.generation() + 1);
            names.push(pipeline.spec.name.clone());
        }
        names.iter().for_each(|name| self.start(name));
    }

    /// Drains all pipelines. None starts any more.
    fn drain(&mut self) {
        self.ending = true;
        self.registry.redrives.stop_all();
        for pipeline in self.pipelines.values_mut() {
            match pipeline.phase {
                Phase::Running(_) => pipeline.signals.shutdown.request(),
                Phase::Waiting(_) => pipeline.phase = Phase::Settled,
                Phase::Settled => {}
            }
        }
    }
}
