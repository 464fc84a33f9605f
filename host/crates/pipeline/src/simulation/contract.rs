//! What the pipeline relies on in a source and a sink. The simulated ones and those on a real Kafka pass the same tests, so what
//! the simulation finds is about Kafka.

use std::time::Duration;

use crate::contracts::{Fetched, Outgoing, Sink, SinkError, Source};
use mapper_core::decision::RouteIndex;
use mapper_core::record::{Batch, Position, Positions};

/// The route of a topic that takes every record.
pub const OUTPUT: RouteIndex = 0;
/// The route of a compacted topic, which rejects records without a key.
pub const COMPACTED: RouteIndex = 1;

/// How long an answer of the group is waited for at a time.
const WAIT: Duration = Duration::from_millis(100);
/// The most times that it is waited for.
const MOST_WAITS: usize = 900;

/// A cluster with an input topic of two partitions and the topics of [`OUTPUT`] and [`COMPACTED`], all empty.
pub trait TestCluster {
    type Source: Source;
    type Sink: Sink;

    /// A worker that joins the group, with a producer of this transactional id.
    fn join(&mut self, transactional_id: &str) -> TestWorker<Self::Source, Self::Sink>;

    /// Appends a record to the input topic.
    fn append(&mut self, partition: i32, value: &str);

    /// The values in the topic of a route, as a reader of committed records reads them.
    fn read_committed(&mut self, route: RouteIndex) -> Vec<String>;

    /// The committed offset of the group.
    fn committed(&mut self, partition: i32) -> Option<i64>;
}

/// A source and the sink that commits in its name.
pub struct TestWorker<S, K> {
    pub source: S,
    pub sink: K,
}

impl<S: Source, K: Sink> TestWorker<S, K> {
    /// Waits for a change of partitions, and leaves it unsettled.
    fn wait_for_rebalance(&mut self) -> Fetched {
        for _ in 0..MOST_WAITS {
            match self.source.attend(WAIT).expect("the group is attended to") {
                Fetched::Idle => {}
                rebalance => return rebalance,
            }
        }
        panic!("the group gives no partitions");
    }

    /// Takes the partitions that the group gives.
    fn take_partitions(&mut self) {
        while self.wait_for_rebalance() != Fetched::Assigned {
            self.source.settle().expect("the partitions are given up");
        }
        self.source.settle().expect("the partitions are taken");
    }

    /// Fetches until there are so many records. Returns their positions and values.
    fn fetch(&mut self, records: usize) -> Vec<(Position, String)> {
        let (mut batch, mut fetched) = (Batch::new("visits"), Vec::new());
        for _ in 0..MOST_WAITS {
            match self.source.fetch(&mut batch, records - fetched.len(), WAIT).expect("a fetch") {
                Fetched::Records => {}
                Fetched::Idle => continue,
                other => panic!("instead of records: {other:?}"),
            }
            for record in batch.records() {
                let value = record.value().expect("a value");
                fetched.push((record.position(), String::from_utf8_lossy(value).into_owned()));
            }
            if fetched.len() == records {
                return fetched;
            }
        }
        panic!("only {} of {records} records", fetched.len());
    }

    /// What the source knows to be committed of both partitions.
    fn committed(&self) -> [Option<i64>; 2] {
        [0, 1].map(|partition| self.source.committed_range(partition).committed)
    }

    fn send(&mut self, input: Position, route: RouteIndex, key: Option<&str>, value: &str) -> Result<(), SinkError> {
        let (key, value) = (key.map(str::as_bytes), Some(value.as_bytes()));
        let outgoing = Outgoing { input, route, key, value, timestamp_ms: None };
        self.sink.send(outgoing, &mut std::iter::empty())
    }

    /// Begins a transaction with these values.
    fn begin_with(&mut self, values: &[&str]) {
        self.sink.begin().expect("a transaction begins");
        for (offset, value) in (0..).zip(values) {
            self.send((0, offset), OUTPUT, Some("key"), value).expect("a record is sent");
        }
    }
}

fn positions(fetched: &[(Position, String)]) -> Vec<Position> {
    fetched.iter().map(|(position, _)| *position).collect()
}

/// Records and offsets of a transaction become visible together, with the commit.
pub fn commit_makes_records_and_offsets_visible_together(cluster: &mut impl TestCluster) {
    cluster.append(0, "a");
    let mut worker = cluster.join("committing");
    worker.take_partitions();
    assert_eq!(worker.fetch(1), [((0, 0), "a".to_owned())]);
    worker.begin_with(&["A"]);
    assert_eq!((cluster.read_committed(OUTPUT), cluster.committed(0)), (vec![], None));
    worker.sink.commit(&Positions::from([(0, 1)])).expect("a commit");
    assert_eq!((cluster.read_committed(OUTPUT), cluster.committed(0)), (vec!["A".to_owned()], Some(1)));
}

/// An abort leaves neither records nor offsets, and the next transaction is not affected.
pub fn abort_leaves_neither_records_nor_offsets(cluster: &mut impl TestCluster) {
    cluster.append(0, "a");
    let mut worker = cluster.join("aborting");
    worker.take_partitions();
    worker.fetch(1);
    worker.begin_with(&["aborted"]);
    worker.sink.abort().expect("an abort");
    worker.begin_with(&["committed"]);
    worker.sink.commit(&Positions::from([(0, 1)])).expect("a commit");
    assert_eq!((cluster.read_committed(OUTPUT), cluster.committed(0)), (vec!["committed".to_owned()], Some(1)));
}

/// A rewind leads to the committed offset of a partition; where nothing is committed, to the offset given.
pub fn rewind_leads_to_the_committed_offsets(cluster: &mut impl TestCluster) {
    for value in ["a", "b", "c", "d"] {
        cluster.append(0, value);
        cluster.append(1, value);
    }
    let mut worker = cluster.join("rewinding");
    worker.take_partitions();
    worker.fetch(8);
    worker.begin_with(&["A", "B"]);
    worker.sink.commit(&Positions::from([(0, 2)])).expect("a commit");
    worker.source.rewind(&Positions::from([(0, 0), (1, 1)])).expect("a rewind");
    let mut again = positions(&worker.fetch(5));
    again.sort_unstable();
    assert_eq!(again, [(0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]);
}

/// What is committed of a partition is known after a commit, after a rewind, and to the next member.
pub fn committed_range_begins_at_the_committed_offset(cluster: &mut impl TestCluster) {
    for value in ["a", "b", "c"] {
        cluster.append(0, value);
    }
    let mut worker = cluster.join("ledger");
    worker.take_partitions();
    worker.fetch(3);
    assert_eq!(worker.committed(), [None, None]);
    worker.begin_with(&["A", "B"]);
    worker.sink.commit(&Positions::from([(0, 2)])).expect("a commit");
    assert_eq!(worker.committed(), [Some(2), None]);
    worker.source.rewind(&Positions::from([(0, 2), (1, 0)])).expect("a rewind");
    assert_eq!(worker.committed(), [Some(2), None]);
    drop(worker);
    let mut next = cluster.join("ledger-next");
    next.take_partitions();
    next.fetch(1);
    assert_eq!(next.committed(), [Some(2), None]);
}

/// A newer producer of the same transactional id fences the one before, whose transaction leaves nothing.
pub fn zombie_is_fenced_by_a_newer_producer(cluster: &mut impl TestCluster) {
    let mut zombie = cluster.join("taken-over");
    zombie.begin_with(&["zombie"]);
    let mut worker = cluster.join("taken-over");
    worker.begin_with(&["worker"]);
    let fenced = zombie.sink.commit(&Positions::new());
    assert!(matches!(fenced, Err(SinkError::Retriable(_))), "{fenced:?}");
    worker.sink.commit(&Positions::new()).expect("a commit");
    assert_eq!(cluster.read_committed(OUTPUT), ["worker"]);
}

/// The group gives the partitions of a member that does not answer to another one. Its commit is refused by the generation
/// of the group, though nobody uses its transactional id.
pub fn zombie_is_fenced_by_group_generation(cluster: &mut impl TestCluster) {
    cluster.append(0, "a");
    let mut zombie = cluster.join("zombie");
    zombie.take_partitions();
    zombie.fetch(1);
    zombie.begin_with(&["zombie"]);
    let mut worker = cluster.join("worker");
    worker.take_partitions();
    let refused = zombie.sink.commit(&Positions::from([(0, 1)]));
    assert!(matches!(refused, Err(SinkError::Retriable(_))), "{refused:?}");
    zombie.sink.abort().expect("an abort");
    assert_eq!((cluster.read_committed(OUTPUT), cluster.committed(0)), (vec![], None));
    worker.fetch(1);
    worker.begin_with(&["worker"]);
    worker.sink.commit(&Positions::from([(0, 1)])).expect("a commit");
    assert_eq!((cluster.read_committed(OUTPUT), cluster.committed(0)), (vec!["worker".to_owned()], Some(1)));
}

/// A rebalance is announced by each call until it is settled, and no records come before that.
pub fn rebalance_is_announced_until_it_is_settled(cluster: &mut impl TestCluster) {
    cluster.append(0, "a");
    cluster.append(1, "b");
    let mut worker = cluster.join("first");
    assert_eq!(worker.wait_for_rebalance(), Fetched::Assigned);
    let mut batch = Batch::new("visits");
    for _ in 0..2 {
        assert_eq!(worker.source.fetch(&mut batch, 10, WAIT).expect("a fetch"), Fetched::Assigned);
        assert_eq!(worker.source.attend(Duration::ZERO).expect("the group is attended to"), Fetched::Assigned);
    }
    worker.source.settle().expect("the partitions are taken");
    worker.fetch(2);
    let mut second = cluster.join("second");
    // The second one joins only while it is served.
    let mut announced = Fetched::Idle;
    for _ in 0..MOST_WAITS {
        assert_eq!(second.source.attend(WAIT).expect("the group is attended to"), Fetched::Idle);
        announced = worker.source.attend(WAIT).expect("the group is attended to");
        if announced != Fetched::Idle {
            break;
        }
    }
    assert_eq!(announced, Fetched::Revoked { lost: false });
    assert_eq!(worker.source.fetch(&mut batch, 10, WAIT).expect("a fetch"), announced);
    assert_eq!(worker.source.positions().len(), 2, "they are there until they are given up");
    // It is not too late to commit.
    worker.begin_with(&["A", "B"]);
    worker.sink.commit(&Positions::from([(0, 1), (1, 1)])).expect("a commit");
    worker.source.settle().expect("the partitions are given up");
    assert!(worker.source.positions().is_empty());
    worker.take_partitions();
    second.take_partitions();
    assert_eq!((worker.source.positions().len(), second.source.positions().len()), (1, 1));
    assert_eq!((cluster.committed(0), cluster.committed(1)), (Some(1), Some(1)));
}

/// Sends records to the compacted topic in a transaction that the broker rejects. Returns the inputs that are named, and aborts.
fn rejected_inputs<S: Source, K: Sink>(
    worker: &mut TestWorker<S, K>,
    records: &[(i64, Option<&str>)],
    next: i64,
) -> Vec<Position> {
    worker.sink.begin().expect("a transaction begins");
    let sent = records.iter().try_for_each(|(offset, key)| worker.send((0, *offset), COMPACTED, *key, "value"));
    let rejections = match sent.and_then(|()| worker.sink.commit(&Positions::from([(0, next)]))) {
        Err(SinkError::RecordsRejected(rejections)) => rejections,
        other => panic!("the broker takes a record without a key: {other:?}"),
    };
    worker.sink.abort().expect("an abort");
    assert!(rejections.iter().all(|rejection| rejection.route == COMPACTED), "{rejections:?}");
    rejections.into_iter().flat_map(|rejection| rejection.inputs).collect()
}

/// A record that the broker rejects is named, if need be together with others of its request, and alone if it was sent alone. Its
/// transaction leaves nothing, and the next one can be committed.
pub fn rejected_record_is_named(cluster: &mut impl TestCluster) {
    cluster.append(0, "a");
    cluster.append(0, "b");
    let mut worker = cluster.join("rejected");
    worker.take_partitions();
    worker.fetch(2);
    let named = rejected_inputs(&mut worker, &[(0, Some("key")), (1, None)], 2);
    assert!(named.contains(&(0, 1)), "{named:?}");
    assert_eq!((cluster.read_committed(COMPACTED), cluster.committed(0)), (vec![], None));
    worker.sink.begin().expect("a transaction begins");
    worker.send((0, 0), COMPACTED, Some("key"), "A").expect("a record is sent");
    worker.sink.commit(&Positions::from([(0, 1)])).expect("a commit");
    assert_eq!(rejected_inputs(&mut worker, &[(1, None)], 2), [(0, 1)]);
    assert_eq!((cluster.read_committed(COMPACTED), cluster.committed(0)), (vec!["A".to_owned()], Some(1)));
}

/// One test a rule, on the cluster that the expression makes.
#[macro_export]
macro_rules! source_and_sink_contract {
    ($cluster:expr) => {
        $crate::source_and_sink_contract! {
            @tests $cluster;
            commit_makes_records_and_offsets_visible_together
            abort_leaves_neither_records_nor_offsets
            rewind_leads_to_the_committed_offsets
            committed_range_begins_at_the_committed_offset
            zombie_is_fenced_by_a_newer_producer
            zombie_is_fenced_by_group_generation
            rebalance_is_announced_until_it_is_settled
            rejected_record_is_named
        }
    };
    (@tests $cluster:expr; $($test:ident)*) => {
        $(
            #[test]
            fn $test() {
                $crate::simulation::contract::$test(&mut $cluster);
            }
        )*
    };
}
