//! The world of one run: it decides what happens next, and lets virtual time pass.
//!
//! Nothing runs in parallel. While a call of one worker takes its time, the events that are due until then happen inside it: other
//! workers take steps, processes die, sessions expire.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt::Display;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use mapper_core::counts::Counts;
use mapper_core::decision::TopicLimits;
use mapper_core::record::Positions;
use mapper_pipeline::simulation::{Cluster, ClusterSettings, Network};
use mapper_pipeline::{Clock, StepOutcome};

use crate::checker::Checker;
use crate::clock::VirtualClock;
use crate::events::{Event, Events};
use crate::guest::TOPICS;
use crate::host::{Client, Host};
use crate::ledger::LEDGER;
use crate::random::Random;
use crate::scenario::{Kind, Scenario};
use crate::trace::Trace;

/// After the last fault, everything must be done within this time.
const CALM_LIMIT: Duration = Duration::from_secs(300);
/// The same with records that hosts die of: each host must die of each several times, and the group waits for its session each time.
const DEADLY_CALM_LIMIT: Duration = Duration::from_secs(3000);
/// A run with more events goes in circles.
const MOST_EVENTS: u64 = 500_000;

/// What happened in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    pub inputs: u64,
    pub steps: u64,
    pub commits: u64,
    pub crashes: u64,
    pub freezes: u64,
    pub lost: u64,
    pub swaps: u64,
    pub virtual_seconds: u64,
}

impl Statistics {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.inputs += other.inputs;
        self.steps += other.steps;
        self.commits += other.commits;
        self.crashes += other.crashes;
        self.freezes += other.freezes;
        self.lost += other.lost;
        self.swaps += other.swaps;
        self.virtual_seconds += other.virtual_seconds;
    }
}

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) cluster: Rc<RefCell<Cluster>>,
    pub(crate) hosts: RefCell<Vec<Host>>,
    pub(crate) clients: RefCell<Vec<Client>>,
    me: Weak<World>,
    pub(crate) clock: Arc<VirtualClock>,
    random: RefCell<Random>,
    events: RefCell<Events>,
    handled: Cell<u64>,
    pub(crate) checker: RefCell<Checker>,
    /// Whether each version is faulty, by its number.
    versions: RefCell<Vec<bool>>,
    failure: RefCell<Option<String>>,
    trace: Trace,
    statistics: RefCell<Statistics>,
}

impl World {
    pub(crate) fn new(seed: u64, is_traced: bool) -> Rc<Self> {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(&mut random);
        let trace = Trace::new(is_traced);
        trace.add(Duration::ZERO, || format!("{scenario:?}"));
        let cluster = ClusterSettings {
            input_partitions: scenario.partitions,
            limits: vec![TopicLimits::default(); if scenario.has_ledger { LEDGER + 1 } else { LEDGER }],
            output_partitions: scenario.output_partitions,
            session_timeout: Duration::from_secs(6),
            max_poll_interval: Duration::from_secs(15),
            transaction_timeout: Duration::from_secs(12),
            marker_delay: scenario.marker_delay,
            names_rejected: scenario.names_rejected,
        };
        Rc::new_cyclic(|me| Self {
            cluster: Rc::new(RefCell::new(Cluster::new(cluster))),
            hosts: RefCell::new((0..scenario.hosts).map(|_| Host::default()).collect()),
            clients: RefCell::default(),
            me: me.clone(),
            clock: Arc::new(VirtualClock::new()),
            random: RefCell::new(random),
            events: RefCell::default(),
            handled: Cell::new(0),
            checker: RefCell::new(Checker::new(&scenario)),
            versions: RefCell::new(vec![false]),
            failure: RefCell::default(),
            trace,
            statistics: RefCell::default(),
            scenario,
        })
    }

    pub(crate) fn me(&self) -> Weak<Self> {
        self.me.clone()
    }

    pub(crate) fn network(&self) -> Rc<dyn Network> {
        self.me.upgrade().expect("a world that runs is there")
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn random(&self) -> RefMut<'_, Random> {
        self.random.borrow_mut()
    }

    pub(crate) fn statistics(&self) -> RefMut<'_, Statistics> {
        self.statistics.borrow_mut()
    }

    pub(crate) fn trace<T: Display>(&self, line: impl FnOnce() -> T) {
        self.trace.add(self.now(), line);
    }

    /// Drops the processes, which refer to their world.
    pub(crate) fn close(&self) {
        let clients = std::mem::take(&mut *self.clients.borrow_mut());
        drop(clients);
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.trace.take()
    }

    pub(crate) fn has_faults(&self) -> bool {
        self.now() < self.scenario.faults_until
    }

    pub(crate) fn add_event(&self, after: Duration, event: Event) {
        self.events.borrow_mut().add(self.now() + after, event);
    }

    pub(crate) fn new_version(&self) -> usize {
        let is_faulty = self.random().chance(self.scenario.guests.faulty);
        self.statistics().swaps += 1;
        let mut versions = self.versions.borrow_mut();
        versions.push(is_faulty);
        versions.len() - 1
    }

    pub(crate) fn is_faulty(&self, version: usize) -> bool {
        self.versions.borrow()[version]
    }

    pub(crate) fn counted(&self, next: &Positions, counts: &Counts) {
        let checked = self.checker.borrow_mut().counted(next, counts);
        self.expect(checked);
    }

    /// The first thing that does not hold is what the run fails with. All processes die, so that it ends.
    pub(crate) fn expect(&self, checked: Result<(), String>) {
        let Err(failure) = checked else { return };
        self.trace(|| format!("FAILED: {failure}"));
        self.failure.borrow_mut().get_or_insert(failure);
        self.clients.borrow().iter().for_each(|client| client.is_dead.set(true));
    }

    fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Runs until everything is done.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn run(&self) -> Result<(), String> {
        self.plan();
        let is_deadly = self.scenario.kinds.contains(&Kind::Deadly);
        let calm = if is_deadly { DEADLY_CALM_LIMIT } else { CALM_LIMIT };
        let limit = self.scenario.faults_until + calm;
        while !self.has_failed() {
            let is_done = !self.has_faults() && self.checker.borrow().uncommitted().is_none();
            if is_done {
                self.expect(self.check_at_end());
                break;
            }
            if self.now() >= limit {
                let (partition, offset) = self.checker.borrow().uncommitted().unwrap_or_default();
                self.expect(Err(format!("{partition}:{offset} is not done {calm:?} after the last fault")));
                break;
            }
            self.run_until(self.now() + Duration::from_millis(500));
        }
        let mut statistics = self.statistics();
        (statistics.inputs, statistics.virtual_seconds) = (self.checker.borrow().inputs() as u64, self.now().as_secs());
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// Adds everything that does not depend on what happens before it.
    fn plan(&self) {
        let scenario = &self.scenario;
        let until = scenario.faults_until.as_millis() as u64;
        for host in 0..scenario.hosts {
            let at = self.random().millis(0, if host == 0 { 10 } else { until / 2 });
            self.add_event(at, Event::Start { host });
            self.add_event(at, Event::Supervise { host });
        }
        for _ in 0..scenario.records {
            let (at, partition) = {
                let mut random = self.random();
                (random.millis(0, until * 4 / 5), random.number(0, scenario.partitions as usize - 1) as i32)
            };
            self.add_event(at, Event::Append { partition });
        }
        for _ in 0..scenario.swaps {
            let (at, host) = self.some_time_and_host();
            self.add_event(at, Event::Swap { host });
        }
        for _ in 0..scenario.shutdowns {
            let (at, host) = self.some_time_and_host();
            self.add_event(at, Event::Shutdown { host });
        }
        let at = self.random().pick(&[0, until / 2]);
        self.add_event(Duration::from_millis(at), Event::Limits);
    }

    fn some_time_and_host(&self) -> (Duration, usize) {
        let mut random = self.random();
        let until = self.scenario.faults_until.as_millis() as u64;
        (random.millis(0, until), random.number(0, self.scenario.hosts - 1))
    }

    /// Lets everything happen until then.
    pub(crate) fn run_until(&self, until: Duration) {
        loop {
            let next = self.events.borrow_mut().next_until(until);
            let Some((at, event)) = next.filter(|_| !self.has_failed()) else { break };
            self.clock.move_to(at);
            self.handled.set(self.handled.get() + 1);
            if self.handled.get() > MOST_EVENTS {
                self.expect(Err(format!("more than {MOST_EVENTS} events: the hosts go in circles")));
            }
            self.handle(event);
            self.check();
        }
        self.clock.move_to(until);
        self.check();
    }

    fn handle(&self, event: Event) {
        match event {
            Event::Step { client } => self.step(client),
            Event::Serve { client } => self.serve(client),
            Event::Append { partition } => self.append(partition),
            Event::Start { host } => self.start_host(host),
            Event::Shutdown { host } => {
                self.trace(|| format!("host {host} is asked to end"));
                if let Some(process) = &self.hosts.borrow()[host].process {
                    process.shutdown.request();
                }
            }
            Event::Swap { host } => self.swap(host),
            Event::Supervise { host } => {
                self.supervise(host);
                self.add_event(Duration::from_millis(300), event);
            }
            Event::Limits => {
                let (max_record_bytes, needs_key) = (self.scenario.max_record_bytes, self.scenario.needs_key);
                for route in 0..TOPICS.len() {
                    let usual = TopicLimits::default();
                    let limits = TopicLimits {
                        max_record_bytes: usual.max_record_bytes.min(max_record_bytes),
                        needs_key: needs_key && route == 1,
                        ..usual
                    };
                    self.cluster.borrow_mut().set_limits(route, limits);
                }
            }
        }
    }

    fn step(&self, client: usize) {
        let frozen_until = self.clients.borrow()[client].frozen_until;
        if frozen_until > self.now() {
            return self.events.borrow_mut().add(frozen_until, Event::Step { client });
        }
        let Some(mut pipeline) = self.clients.borrow_mut()[client].pipeline.take() else { return };
        self.statistics().steps += 1;
        let outcome = pipeline.step();
        self.check_verdicts(client);
        if self.is_dead(client) {
            return;
        }
        let pause = match outcome {
            Ok(StepOutcome::Continue) => self.random().short(),
            Ok(StepOutcome::Backoff(pause)) => pause,
            Ok(StepOutcome::Finished) => return self.end_client(client, None),
            Err(halt) => return self.end_client(client, Some(halt.to_string())),
        };
        self.clients.borrow_mut()[client].pipeline = Some(pipeline);
        self.add_event(pause, Event::Step { client });
    }

    /// A worker has ended. One that halts takes the others of its process along.
    fn end_client(&self, client: usize, halt: Option<String>) {
        self.trace(|| format!("client {client} has ended: {}", halt.as_deref().unwrap_or("as requested")));
        let (host, member) = {
            let clients = self.clients.borrow();
            (clients[client].host, clients[client].member.clone())
        };
        let is_last = {
            let mut hosts = self.hosts.borrow_mut();
            let Some(process) = &mut hosts[host].process else { return };
            if halt.is_some() {
                process.shutdown.request();
            }
            process.workers -= 1;
            process.workers == 0
        };
        member.close();
        if is_last {
            self.end_process(host);
        }
    }

    fn serve(&self, client: usize) {
        let (member, frozen_until) = {
            let clients = self.clients.borrow();
            (clients[client].member.clone(), clients[client].frozen_until)
        };
        if self.is_dead(client) || member.is_closed() {
            return;
        }
        if frozen_until > self.now() {
            return self.events.borrow_mut().add(frozen_until, Event::Serve { client });
        }
        member.serve();
        let pause = self.random().millis(50, 400);
        self.add_event(pause, Event::Serve { client });
    }
}
