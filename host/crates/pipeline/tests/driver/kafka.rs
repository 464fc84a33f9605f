//! An in-memory Kafka for one pipeline: it shows only committed records, and fails by script.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::rc::Rc;

use super::versions::{MADE_BY, PROBATION, Versions};
use super::*;
use mapper_core::record::SourcePositions;
use mapper_pipeline::CommittedRange;

/// The maximum of fetches; a case with more does not end.
const MOST_FETCHES: usize = 10_000;
const MOST_IDLE: usize = 50;

#[derive(Debug, Clone)]
enum Rebalance {
    Assign(Vec<i32>),
    Revoke(Revoke),
}

/// The state of the cluster. It outlives the pipelines.
pub(super) struct Kafka {
    /// Per partition, offsets and values.
    pub(super) inputs: BTreeMap<i32, Vec<(i64, &'static str)>>,
    /// The end offset, after the last record and the last marker.
    pub(super) ends: Positions,
    pub(super) committed: Positions,
    /// By route: two topics of outputs, then the dead letters.
    pub(super) topics: [Vec<Produced>; 3],
    pub(super) confirmed: CommittedCounts,
    /// The calls that change the state.
    pub(super) log: Vec<String>,
    pub(super) script: Script,
    /// The maximum of records of each fetch, in order.
    pub(super) portions: Vec<usize>,
    /// Whether the source ends at the end offsets.
    pub(super) until_end: bool,
    /// The kind of dead letters that are always rejected, if any.
    pub(super) refused_kind: Option<FailureKind>,
    /// The limits of the topics, and whether the broker reports them.
    pub(super) limits: [TopicLimits; 3],
    pub(super) reports_limits: bool,
    /// Whether the broker names the records that it rejects at a commit.
    pub(super) names_rejected: bool,
    /// A commit of more records than this fails, as one that takes too long does.
    pub(super) most_at_once: usize,
    /// How many more times sick records trap.
    pub(super) sick: usize,
    /// The in-flight markers of the next pipeline.
    pub(super) markers: Arc<InFlightMarkers>,
    pub(super) shutdown: Shutdown,
    pub(super) clock: Arc<ManualClock>,
    pub(super) versions: Versions,
    calls: BTreeMap<Call, usize>,
    /// The number of consecutive fetches without a record.
    idle: usize,
    /// The positions of the assigned partitions.
    pub(super) positions: Positions,
    rebalances: VecDeque<(usize, Rebalance)>,
    pub(super) lost: BTreeSet<i32>,
    pub(super) open: Option<Vec<(RouteIndex, Produced)>>,
    /// The ledger records of the committed transactions, and those of the open one.
    pub(super) ledger: Vec<String>,
    pub(super) open_ledger: Vec<String>,
    pub(super) rejects_ledger: bool,
}

/// A handle that is both source and sink of a pipeline.
#[derive(Clone)]
pub(super) struct Fake(pub(super) Rc<RefCell<Kafka>>);

impl Fake {
    /// Partitions from 0 with these values. Offsets have a gap now and then, as a topic of transactions has.
    pub(super) fn new(values: &[Vec<&'static str>], script: Script) -> Self {
        let offset = |index: usize| (index + index / 3) as i64;
        let partitions = (0..).zip(values);
        let inputs = partitions.map(|(p, values)| (p, (0..).map(offset).zip(values.iter().copied()).collect()));
        let ends = (0..).zip(values).filter(|(_, v)| !v.is_empty()).map(|(p, v)| (p, offset(v.len() - 1) + 2));
        let fake = Self(Rc::new(RefCell::new(Kafka {
            inputs: inputs.collect(),
            ends: ends.collect(),
            committed: Positions::new(),
            topics: Default::default(),
            confirmed: CommittedCounts::default(),
            log: Vec::new(),
            script,
            portions: vec![usize::MAX],
            until_end: true,
            refused_kind: None,
            limits: Default::default(),
            reports_limits: false,
            names_rejected: false,
            most_at_once: usize::MAX,
            sick: usize::MAX,
            markers: Arc::new(InFlightMarkers::none()),
            shutdown: Shutdown::default(),
            clock: Arc::default(),
            versions: Versions::default(),
            calls: BTreeMap::new(),
            idle: 0,
            positions: Positions::new(),
            rebalances: VecDeque::new(),
            lost: BTreeSet::new(),
            open: None,
            ledger: Vec::new(),
            open_ledger: Vec::new(),
            rejects_ledger: false,
        })));
        fake.kafka().versions.of(&fake.0);
        fake
    }

    pub(super) fn kafka(&self) -> RefMut<'_, Kafka> {
        self.0.borrow_mut()
    }

    /// The next process writes its in-flight markers to this folder; the last one no longer does.
    pub(super) fn restart_in(&self, dir: &Path, poison_after: u32) {
        self.kafka().markers = Arc::new(InFlightMarkers::none());
        let claim = Arc::new(StateClaim::open(dir, "readers").unwrap());
        self.kafka().markers = Arc::new(InFlightMarkers::open(&claim, &TopicNames::one("visits"), poison_after));
    }

    /// A new process joins the group: the open transaction is aborted, and all partitions are assigned.
    pub(super) fn join(&self) {
        let mut kafka = self.kafka();
        (kafka.shutdown, kafka.idle) = (Shutdown::default(), 0);
        (kafka.open, kafka.positions) = (None, Positions::new());
        kafka.lost.clear();
        kafka.rebalances.clear();
        let all = kafka.inputs.keys().copied().collect();
        kafka.rebalances.push_back((0, Rebalance::Assign(all)));
    }
}

impl Kafka {
    pub(super) fn call(&mut self, call: Call) -> Result<Option<Event>, SinkError> {
        assert!(self.fetches() < MOST_FETCHES, "in circles: {:?}", self.log.iter().rev().take(20));
        self.versions.return_if_withdrawn();
        let count = self.calls.entry(call).or_default();
        *count += 1;
        let event = self.script.iter().find(|(at, n, _)| (*at, *n) == (call, *count)).map(|(_, _, event)| event);
        match event {
            Some(Event::Again) => Err(SinkError::Retriable(anyhow::anyhow!("{call:?} fails"))),
            Some(Event::Refused) => Err(self.rejects_something()),
            Some(Event::Halt) => Err(Halt::kafka(format!("{call:?} halts")).into()),
            Some(Event::Shutdown) => {
                self.shutdown.request();
                Ok(None)
            }
            Some(Event::Swap) => {
                self.versions.offer(None);
                Ok(None)
            }
            Some(Event::SwapOnProbation) => {
                self.versions.offer(Some(PROBATION));
                Ok(None)
            }
            other => Ok(other.cloned()),
        }
    }

    fn source_call(&mut self, call: Call) -> Result<Option<Event>, SourceError> {
        self.call(call).map_err(|error| match error {
            SinkError::Retriable(error) => SourceError::Retriable(error),
            SinkError::Fatal(halt) => SourceError::Fatal(halt),
            SinkError::RecordsRejected(_) => panic!("a source rejects no records"),
        })
    }

    fn fetches(&self) -> usize {
        self.calls.get(&Call::Fetch).copied().unwrap_or(0)
    }

    /// The announced and not yet settled revocation.
    fn announced(&mut self) -> Option<Fetched> {
        let (at, rebalance) = self.rebalances.front()?.clone();
        if at > self.fetches() {
            return None;
        }
        let Rebalance::Revoke(revoke) = rebalance else { return Some(Fetched::Assigned) };
        let mine: Vec<i32> = revoke.partitions.iter().copied().filter(|p| self.positions.contains_key(p)).collect();
        for partition in mine {
            if revoke.lost && self.lost.insert(partition) {
                self.work_elsewhere(partition, revoke.records_elsewhere);
            }
        }
        Some(Fetched::Revoked { lost: revoke.lost })
    }

    /// Another member processes records as this pipeline would.
    fn work_elsewhere(&mut self, partition: i32, most: usize) {
        let from = self.committed.get(&partition).copied().unwrap_or(0);
        let records = self.inputs[&partition].iter().filter(|(offset, _)| *offset >= from).take(most);
        for (offset, value) in records.copied().collect::<Vec<_>>() {
            let of = (partition, offset);
            let produced = |value, headers| Produced { of, key: None, value, headers, timestamp_ms: None };
            match handled(value) {
                Handled::Outputs(outputs) => {
                    outputs.into_iter().for_each(|(route, value)| self.topics[route].push(produced(value, vec![])));
                }
                Handled::OutputOr(_) => self.topics[0].push(produced(b"1st".to_vec(), vec![])),
                Handled::DeadLetter(kind) => {
                    let headers = vec![("mapper-host.kind".to_owned(), kind.name().to_owned())];
                    self.topics[2].push(produced(vec![], headers));
                }
            }
            self.committed.insert(partition, offset + 1);
        }
    }

    fn take_position(&mut self, partition: i32) {
        let at = self.committed.get(&partition).copied().unwrap_or(0);
        self.positions.insert(partition, at);
    }

    pub(super) fn make_visible(&mut self, next: &Positions, confirmed: bool) {
        let open = self.open.take().expect("a commit in a transaction");
        let made_by: BTreeSet<&str> = open.iter().map(|(_, record)| record.header(MADE_BY)).collect();
        assert!(made_by.len() <= 1, "a transaction of several versions: {made_by:?}");
        let old = |p: &i32| self.committed.get(p).copied().unwrap_or(0);
        assert!(next.iter().any(|(p, at)| *at > old(p)), "an empty transaction");
        assert!(next.iter().all(|(p, at)| *at >= old(p)), "offsets go back: {next:?}");
        let done = next.iter().flat_map(|(p, at)| {
            self.inputs[p].iter().map(move |(o, _)| (*p, *o)).filter(|(p, o)| *o >= old(p) && o < at)
        });
        let done: BTreeSet<(i32, i64)> = done.collect();
        let made: BTreeSet<(i32, i64)> = open.iter().map(|(_, record)| record.of).collect();
        if confirmed {
            self.confirmed.transactions += 1;
            self.confirmed.records_in += done.len() as u64;
            self.confirmed.skipped += done.difference(&made).count() as u64;
            self.confirmed.records_out += open.iter().filter(|(route, _)| *route < 2).count() as u64;
            for (_, letter) in open.iter().filter(|(route, _)| *route == 2) {
                *self.confirmed.dead_letters.entry(letter.header("mapper-host.kind").to_owned()).or_default() += 1;
            }
        }
        let ledger = std::mem::take(&mut self.open_ledger);
        self.ledger.extend(ledger);
        open.into_iter().for_each(|(route, record)| self.topics[route].push(record));
        self.committed.extend(next);
        self.log.push(format!("commit {}", done.len()));
    }
}

impl Source for Fake {
    fn fetch(&mut self, batch: &mut Batch, most: usize, wait: Duration) -> Result<Fetched, SourceError> {
        let mut kafka = self.kafka();
        batch.clear();
        assert!(most > 0, "a fetch of nothing");
        if let Some(Event::Revoke(revoke)) = kafka.source_call(Call::Fetch)? {
            let at = kafka.fetches();
            kafka.rebalances.push_back((at, Rebalance::Revoke(revoke)));
        }
        if let Some(announced) = kafka.announced() {
            return Ok(announced);
        }
        let fetches = kafka.fetches();
        let most = most.min(kafka.portions[fetches % kafka.portions.len()]);
        let Kafka { inputs, positions, .. } = &mut *kafka;
        let turn = fetches % positions.len().max(1);
        let (before, after): (Vec<_>, Vec<_>) = positions.iter_mut().enumerate().partition(|(index, _)| *index < turn);
        for (_, (partition, position)) in after.into_iter().chain(before) {
            for (offset, value) in inputs[partition].iter().filter(|(offset, _)| offset >= position) {
                if batch.len() == most {
                    break;
                }
                let key = format!("{partition}:{offset}");
                let (key, value) = ((*value != "keyless").then_some(key.as_bytes()), Some(value.as_bytes()));
                batch.push((*partition, *offset), 1000 + offset, key, value, std::iter::empty());
            }
            if let Some(last) = batch.records().filter(|record| record.partition() == *partition).last() {
                *position = last.offset() + 1;
            }
        }
        if !batch.is_empty() {
            kafka.idle = 0;
            return Ok(Fetched::Records);
        }
        // The operator stops a pipeline that waits with an open breaker.
        kafka.idle += 1;
        if kafka.until_end && kafka.idle > MOST_IDLE {
            kafka.shutdown.request();
        }
        kafka.clock.advance(wait);
        Ok(Fetched::Idle)
    }

    fn attend(&mut self, wait: Duration) -> Result<Fetched, SourceError> {
        let mut kafka = self.kafka();
        if let Some(Event::Revoke(revoke)) = kafka.source_call(Call::Attend)? {
            let at = kafka.fetches();
            kafka.rebalances.push_back((at, Rebalance::Revoke(revoke)));
        }
        if let Some(announced) = kafka.announced() {
            return Ok(announced);
        }
        kafka.clock.advance(wait);
        Ok(Fetched::Idle)
    }

    fn settle(&mut self) -> Result<(), SourceError> {
        let mut kafka = self.kafka();
        kafka.source_call(Call::Settle)?;
        let fetches = kafka.fetches();
        let (_, rebalance) = kafka.rebalances.pop_front().expect("a rebalance that was announced");
        match rebalance {
            Rebalance::Assign(partitions) => {
                kafka.log.push("assigned".to_owned());
                partitions.into_iter().for_each(|partition| kafka.take_position(partition));
            }
            Rebalance::Revoke(revoke) => {
                kafka.log.push("revoked".to_owned());
                let mine = revoke.partitions.into_iter().filter(|p| kafka.positions.contains_key(p));
                let mine: Vec<i32> = mine.collect();
                for partition in &mine {
                    kafka.positions.remove(partition);
                    if !kafka.lost.remove(partition) {
                        kafka.work_elsewhere(*partition, revoke.records_elsewhere);
                    }
                }
                kafka.rebalances.push_back((fetches + revoke.back_after, Rebalance::Assign(mine)));
            }
        }
        Ok(())
    }

    fn rewind(&mut self, firsts: &Positions) -> Result<(), SourceError> {
        let mut kafka = self.kafka();
        kafka.source_call(Call::Rewind)?;
        kafka.log.push("rewind".to_owned());
        for (partition, first) in firsts {
            let to = kafka.committed.get(partition).copied().unwrap_or(*first);
            kafka.positions.entry(*partition).and_modify(|position| *position = to);
        }
        Ok(())
    }

    fn uncommitted_ends(&mut self) -> Positions {
        let kafka = self.kafka();
        assert!(kafka.open.is_none(), "there are records to commit");
        let is_read = |p: &i32, at: i64| kafka.inputs[p].iter().all(|(offset, _)| *offset < at);
        let committed = |p: &i32| kafka.committed.get(p).copied().unwrap_or(0);
        let read = kafka.positions.iter().filter(|(p, at)| is_read(p, **at));
        let ends = read.filter_map(|(p, _)| Some((*p, *kafka.ends.get(p)?)));
        let uncommitted = ends.filter(|(p, end)| *end > committed(p));
        uncommitted.collect()
    }

    fn finished(&mut self) -> Option<Positions> {
        let kafka = self.kafka();
        let Kafka { ends, positions, inputs, committed, .. } = &*kafka;
        let done = |p: &i32| positions.get(p).is_some_and(|at| inputs[p].iter().all(|(offset, _)| offset < at));
        if !kafka.until_end || !ends.keys().all(done) {
            return None;
        }
        let at = |p: &i32| positions[p].max(committed.get(p).copied().unwrap_or(0));
        Some(ends.iter().filter(|(p, end)| at(p) < **end).map(|(p, end)| (*p, *end)).collect())
    }

    fn positions(&self) -> SourcePositions {
        self.kafka().positions.iter().map(|(partition, position)| (*partition, Some(*position))).collect()
    }

    fn committed_range(&self, partition: i32) -> CommittedRange {
        CommittedRange { committed: self.kafka().committed.get(&partition).copied(), ..CommittedRange::default() }
    }
}
