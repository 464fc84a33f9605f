//! A simulated host: processes that come and go, and the disk that stays.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mapper_core::dead_letter::{DeadLetters, HeaderSet, Origin};
use mapper_core::decision::Routes;
use mapper_core::shutdown::Shutdown;
use mapper_core::verdict::Blame;
use mapper_pipeline::simulation::{Connection, Member, SimulatedSink, SimulatedSource};
use mapper_pipeline::{
    BreakerRecords, BreakerSettings, CommitPolicy, CommittedTransaction, Driver, FailurePolicy, LedgerNames, Observer,
    Parts, Settings,
};
use mapper_versions::probation::{ProbationSettings, ProbationState};
use mapper_versions::{ActiveVersion, History, Journal, Slot, Trigger, Version, WorkerSlot};

use crate::events::Event;
use crate::guest::{Guest, TOPICS};
use crate::markers::{Marker, MarkerFile};
use crate::scenario::Scenario;
use crate::slot::{CountingSlot, UncountedVerdicts};
use crate::world::World;

/// The pipeline of one worker.
pub(crate) type WorkerPipeline = Driver<SimulatedSource, SimulatedSink, CountingSlot>;

const INPUT: &str = "visits";
const DEAD_LETTERS: &str = "dead-letters";
const CONTRACT: &str = "1.0.0";

/// What stays when a process dies.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) history: History,
    pub(crate) markers: Rc<RefCell<MarkerFile>>,
    /// The number of the version in the plugin file, with which a process begins.
    pub(crate) plugin: usize,
}

/// A process of a host.
pub(crate) struct Process {
    pub(crate) shutdown: Shutdown,
    pub(crate) journal: Arc<Journal>,
    slot: Arc<Slot<Guest>>,
    pub(crate) clients: Vec<usize>,
    /// Workers that have not ended.
    pub(crate) workers: usize,
    term: u64,
    active: usize,
    /// The version to return to.
    before: usize,
}

/// A host.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
}

/// One worker of one process, as the cluster sees it.
pub(crate) struct Client {
    pub(crate) host: usize,
    pub(crate) is_dead: Rc<Cell<bool>>,
    /// It dies as soon as time passes.
    pub(crate) is_dying: bool,
    pub(crate) frozen_until: Duration,
    pub(crate) uncounted: UncountedVerdicts,
    pub(crate) member: Member,
    /// `None` while it takes a step, and once it has ended.
    pub(crate) pipeline: Option<Box<WorkerPipeline>>,
}

fn version(number: usize) -> Version {
    Version { name: "guest".into(), version: format!("{number}"), digest: format!("v{number}") }
}

fn active_version(term: u64, number: usize) -> Arc<ActiveVersion> {
    Arc::new(ActiveVersion { term, version: version(number), contract: CONTRACT })
}

/// Reports the counts of each commit to the checker.
struct CountObserver {
    world: std::rc::Weak<World>,
    client: usize,
    /// Since the last call of the mapper, a transaction was committed in which each record crashed the guest.
    has_committed_only_crashes: bool,
}

impl Observer for CountObserver {
    fn batch_mapped(&mut self, _: usize, _: Duration) {
        self.has_committed_only_crashes = false;
    }

    fn transaction_committed(&mut self, committed: CommittedTransaction<'_>) {
        let crashes = committed.counts.by_kind().filter(|(kind, _)| kind.blame() == Blame::Guest);
        let crashes: u64 = crashes.map(|(_, count)| count).sum();
        self.has_committed_only_crashes = crashes > 0 && crashes == committed.counts.records_in;
        if let Some(world) = self.world.upgrade() {
            world.trace(|| format!("client {} committed {:?}", self.client, committed.next));
            world.counted(committed.next, committed.counts);
        }
    }

    fn source_rewound(&mut self) {
        if let Some(world) = self.world.upgrade() {
            world.trace(|| format!("client {} rewound", self.client));
        }
    }

    fn breaker_opened(&mut self, reason: &str) {
        if let Some(world) = self.world.upgrade() {
            world.trace(|| format!("client {} opened its breaker: {reason}", self.client));
            if world.scenario.is_exactly_once && self.has_committed_only_crashes {
                world.expect(Err("the dead letters that opened a breaker are committed alone".to_owned()));
            }
        }
    }
}

fn settings(scenario: &Scenario, worker: usize) -> Settings {
    let records = if scenario.holds_records { BreakerRecords::Hold } else { BreakerRecords::DeadLetter };
    let retry = Duration::from_millis(500);
    Settings {
        worker,
        topic: INPUT.into(),
        routes: Arc::new(
            Routes::with_default_limits(&TOPICS, DEAD_LETTERS).with_ledger(scenario.has_ledger.then_some("ledger")),
        ),
        ledger: LedgerNames::default(),
        commit: CommitPolicy { interval: scenario.commit_interval, records: scenario.commit_records, bytes: 1 << 20 },
        batch_records: scenario.batch_records,
        provenance: true,
        failures: FailurePolicy {
            halt_on_error_ratio: None,
            error_ratio_window: 1,
            breaker: BreakerSettings { after: scenario.breaker_after, records, retry },
        },
        ends_by_itself: false,
    }
}

impl World {
    /// Starts a process on a host, unless one runs there.
    #[expect(clippy::arc_with_non_send_sync, reason = "guests of plugins are sent; a simulated one stays in its world")]
    pub(crate) fn start_host(&self, number: usize) {
        let mut hosts = self.hosts.borrow_mut();
        let host = &mut hosts[number];
        if host.process.is_some() {
            return;
        }
        self.trace(|| format!("host {number} starts with v{}", host.disk.plugin));
        host.disk.markers.borrow_mut().open();
        let journal = Arc::new(Journal::in_memory_with(host.disk.history.clone()));
        let active = host.disk.plugin;
        let (term, _) = journal.start_with(version(active));
        let scenario = &self.scenario;
        let is_visible_at_once = !scenario.is_exactly_once;
        let window = scenario.probation_records;
        let slot = Arc::new(Slot::new(scenario.workers, term.number, window, journal.clone(), is_visible_at_once));
        let shutdown = Shutdown::default();
        let mut clients = self.clients.borrow_mut();
        let numbers: Vec<usize> = (clients.len()..clients.len() + scenario.workers).collect();
        for (worker, client) in numbers.iter().copied().enumerate() {
            let connection = Connection::new(self.network(), self.cluster.clone(), client);
            let member = Member::new(connection.clone());
            let (is_dead, uncounted) = (Rc::new(Cell::new(false)), UncountedVerdicts::default());
            let transactional_id = scenario.is_exactly_once.then(|| format!("host-{number}-{worker}"));
            let origin = Origin {
                group: "readers".into(),
                worker,
                plugin_name: "guest".into(),
                plugin_version: format!("{active}"),
                plugin_digest: format!("v{active}"),
                contract: CONTRACT,
            };
            let settings = settings(scenario, worker);
            let parts = Parts {
                source: SimulatedSource::new(connection.clone(), member.clone()),
                mapper: self.guest(client, active, &uncounted),
                sink: SimulatedSink::new(connection, member.clone(), transactional_id),
                versions: CountingSlot {
                    slot: WorkerSlot::new(slot.clone(), worker, active_version(term.number, active)),
                    uncounted: uncounted.clone(),
                },
                in_flight: Box::new(Marker {
                    worker,
                    file: host.disk.markers.clone(),
                    is_dead: is_dead.clone(),
                    uncounted: uncounted.clone(),
                }),
                observer: Box::new(CountObserver { world: self.me(), client, has_committed_only_crashes: false }),
                clock: self.clock(),
                dead_letters: DeadLetters::new(origin, HeaderSet::Full, settings.routes.dead_letters.limits.clone()),
                shutdown: shutdown.clone(),
            };
            let pipeline = Some(Box::new(Driver::new(parts, &settings)));
            let (is_dying, frozen_until) = (false, Duration::ZERO);
            clients.push(Client { host: number, is_dead, is_dying, frozen_until, uncounted, member, pipeline });
            self.add_event(Duration::ZERO, Event::Step { client });
            self.add_event(Duration::ZERO, Event::Serve { client });
        }
        let (workers, term) = (numbers.len(), term.number);
        host.process =
            Some(Process { shutdown, journal, slot, clients: numbers, workers, term, active, before: active });
    }

    fn guest(&self, client: usize, version: usize, uncounted: &UncountedVerdicts) -> Guest {
        Guest { world: self.me(), client, is_faulty: self.is_faulty(version), uncounted: uncounted.clone() }
    }

    /// Offers another version to the workers of a host, on probation, as its swap thread does.
    pub(crate) fn swap(&self, number: usize) {
        let mut hosts = self.hosts.borrow_mut();
        let Some(process) = &mut hosts[number].process else { return };
        let is_busy = process.slot.probation().is_some() || process.slot.is_withdrawn(process.term);
        if is_busy || !process.slot.progress().1.is_empty() {
            return;
        }
        let next = self.new_version();
        (process.before, process.active) = (process.active, next);
        let terms = ProbationSettings { records: self.scenario.probation_records, tolerance: 0.1 };
        self.trace(|| format!("host {number} swaps to v{next}, faulty: {}", self.is_faulty(next)));
        self.offer(process, Trigger::Http, Some(terms));
        if self.random().chance(0.5) {
            hosts[number].disk.plugin = next;
        }
    }

    /// Returns to the version before if a probation has failed, as a swap thread does.
    pub(crate) fn supervise(&self, number: usize) {
        let mut hosts = self.hosts.borrow_mut();
        let Some(process) = &mut hosts[number].process else { return };
        drop(process.slot.take_retired());
        if let Some(ProbationState::Failed(reason)) = process.slot.take_probation_result(process.term) {
            self.trace(|| format!("host {number} returns from v{} to v{}: {reason}", process.active, process.before));
            process.journal.record_probation_failure(process.term, &reason);
            process.active = process.before;
            self.offer(process, Trigger::Probation, None);
        }
    }

    fn offer(&self, process: &mut Process, by: Trigger, terms: Option<ProbationSettings>) {
        let term = process.journal.begin(version(process.active), by, false);
        process.term = term.number;
        process.slot.begin(term.number, terms);
        let clients = self.clients.borrow();
        let guests =
            process.clients.iter().map(|client| self.guest(*client, process.active, &clients[*client].uncounted));
        process.slot.offer(guests.collect(), &active_version(term.number, process.active));
    }

    /// Takes the word of a process that has ended into the disk of its host, and starts another one later.
    pub(crate) fn end_process(&self, number: usize) {
        let process = self.hosts.borrow_mut()[number].process.take();
        let Some(process) = process else { return };
        self.hosts.borrow_mut()[number].disk.history = process.journal.read(History::clone);
        let pause = self.random().millis(500, 6000);
        self.add_event(pause, Event::Start { host: number });
    }
}
