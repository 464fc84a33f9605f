//! The contract of source and sink on the simulated cluster.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::contract::{COMPACTED, TestCluster, TestWorker};
use super::*;
use crate::contracts::{Sink, SinkError};
use mapper_core::decision::TopicLimits;
use mapper_core::record::Positions;

const LATENCY: Duration = Duration::from_millis(1);
/// The interval of the background thread of a member.
const TURN: Duration = Duration::from_millis(50);

/// Nothing is lost, and all members are served while a process waits.
#[derive(Default)]
struct QuietNetwork {
    now: Cell<Duration>,
    members: RefCell<Vec<Member>>,
}

impl Network for QuietNetwork {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn wait(&self, _: usize, duration: Duration) {
        let until = self.now.get() + duration;
        while self.now.get() < until {
            self.now.set(until.min(self.now.get() + TURN));
            self.members.borrow().iter().for_each(Member::serve);
        }
    }

    fn fate(&self, _: usize, _: Request) -> Fate {
        Fate::Answered { there: LATENCY, back: LATENCY }
    }

    fn is_dead(&self, _: usize) -> bool {
        false
    }

    /// Without it an abort would have no effect.
    fn sends_early(&self, _: usize) -> bool {
        true
    }
}

struct SimulatedCluster {
    network: Rc<QuietNetwork>,
    cluster: Rc<RefCell<Cluster>>,
    processes: usize,
}

impl SimulatedCluster {
    fn new() -> Self {
        let mut settings = ClusterSettings::new(2);
        settings.limits = vec![TopicLimits::default(); 3];
        settings.limits[COMPACTED].needs_key = true;
        Self { network: Rc::default(), cluster: Rc::new(RefCell::new(Cluster::new(settings))), processes: 0 }
    }
}

impl TestCluster for SimulatedCluster {
    type Source = SimulatedSource;
    type Sink = SimulatedSink;

    fn join(&mut self, transactional_id: &str) -> TestWorker<SimulatedSource, SimulatedSink> {
        self.processes += 1;
        let connection = Connection::new(self.network.clone(), self.cluster.clone(), self.processes);
        let member = Member::new(connection.clone());
        self.network.members.borrow_mut().push(member.clone());
        let sink = SimulatedSink::new(connection.clone(), member.clone(), Some(transactional_id.to_owned()));
        TestWorker { source: SimulatedSource::new(connection, member), sink }
    }

    fn append(&mut self, partition: i32, value: &str) {
        let record = StoredRecord { value: Some(value.into()), ..StoredRecord::default() };
        self.cluster.borrow_mut().append_input(partition, record);
    }

    fn read_committed(&mut self, route: usize) -> Vec<String> {
        self.network.wait(0, TURN);
        let cluster = self.cluster.borrow();
        let value = |record: &StoredRecord| String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into();
        cluster.output(route).map(|(_, record)| value(record)).collect()
    }

    fn committed(&mut self, partition: i32) -> Option<i64> {
        self.cluster.borrow().committed().get(&partition).copied()
    }
}

crate::source_and_sink_contract!(SimulatedCluster::new());

/// The background thread of the member has not run, so the member is not in the group.
#[test]
fn worker_outside_of_the_group_commits_no_offsets() {
    let mut cluster = SimulatedCluster::new();
    let mut worker = cluster.join("outside");
    cluster.network.members.borrow_mut().clear();
    worker.sink.begin().unwrap();
    let refused = worker.sink.commit(&Positions::from([(0, 1)]));
    assert!(matches!(refused, Err(SinkError::Retriable(_))), "{refused:?}");
    assert_eq!(cluster.committed(0), None);
}
