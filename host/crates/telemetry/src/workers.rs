//! The activity of each worker, and its positions in its partitions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mapper_pipeline::activity::{Activity, StepLimits};
use mapper_pipeline::contracts::PartitionPosition;

use crate::health::Health;
use mapper_core::record::Positions;

/// The component of the reasons of workers.
const COMPONENT: &str = "group";

/// The time after the limit of a step after which the host is not ready.
const UNREADY_GRACE: Duration = Duration::from_secs(20);
/// The time after the limit of a step after which the worker is stuck.
const STUCK_GRACE: Duration = Duration::from_secs(60);

/// Where a worker is in a partition. Offsets are those of the next record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerPosition {
    /// The worker that has it.
    pub worker: usize,
    /// The record to be fetched next; `None` until one was fetched.
    pub position: Option<i64>,
    /// Up to where it is committed; `None` as long as it is not known, or nothing ever was.
    pub committed: Option<i64>,
    /// The end of the partition (its high watermark); `None` until it was heard of.
    pub end: Option<i64>,
}

impl WorkerPosition {
    /// Records still to be fetched, counting what transactions leave in the partition beside its records.
    pub fn lag(&self) -> Option<u64> {
        // In a partition that never had a record nothing is ever fetched or committed.
        let empty = self.end.filter(|end| *end == 0);
        let at = self.position.or(self.committed).or(empty)?;
        Some(u64::try_from(self.end? - at).unwrap_or(0))
    }
}

/// One worker, with the state that it reports.
#[derive(Debug)]
pub struct Worker {
    number: usize,
    begun: Instant,
    activity: AtomicU8,
    /// Milliseconds since `begun`.
    since_ms: AtomicU64,
    member: AtomicBool,
    positions: Mutex<BTreeMap<i32, WorkerPosition>>,
}

impl Worker {
    fn new(number: usize) -> Self {
        Self {
            number,
            begun: Instant::now(),
            activity: AtomicU8::new(Activity::Starting as u8),
            since_ms: AtomicU64::new(0),
            member: AtomicBool::new(false),
            positions: Mutex::default(),
        }
    }

    fn positions(&self) -> MutexGuard<'_, BTreeMap<i32, WorkerPosition>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the activity.
    pub fn set_activity(&self, activity: Activity) {
        self.set_activity_at(activity, Instant::now());
    }

    fn set_activity_at(&self, activity: Activity, now: Instant) {
        self.since_ms.store(now.saturating_duration_since(self.begun).as_millis() as u64, Ordering::Relaxed);
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// The activity, and the time in it.
    pub fn activity(&self) -> (Activity, Duration) {
        self.activity_at(Instant::now())
    }

    fn activity_at(&self, now: Instant) -> (Activity, Duration) {
        let activity = Activity::ALL[usize::from(self.activity.load(Ordering::Relaxed))];
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        (activity, now.saturating_duration_since(self.begun).saturating_sub(since))
    }

    /// These are its partitions: where it is in each, and where that ends.
    pub fn set_positions(&self, positions: &mut dyn Iterator<Item = PartitionPosition>) {
        let mut known_positions = self.positions();
        let before = std::mem::take(&mut *known_positions);
        *known_positions = positions
            .map(|PartitionPosition { partition, position, end }| {
                let known = before.get(&partition);
                let committed = known.and_then(|place| place.committed);
                let end = end.or(known.and_then(|place| place.end));
                (partition, WorkerPosition { worker: self.number, position, committed, end })
            })
            .collect();
    }

    /// Up to these offsets it is committed.
    pub fn committed(&self, next: &Positions) {
        let mut positions = self.positions();
        for (partition, offset) in next {
            if let Some(place) = positions.get_mut(partition) {
                place.committed = Some(*offset);
            }
        }
    }
}

/// All workers of the process.
#[derive(Debug, Default)]
pub struct Workers {
    all: Mutex<BTreeMap<usize, Arc<Worker>>>,
    limits: Mutex<StepLimits>,
}

impl Workers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Worker>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker with this number.
    pub fn worker(&self, number: usize) -> Arc<Worker> {
        self.lock().entry(number).or_insert_with(|| Arc::new(Worker::new(number))).clone()
    }

    /// All workers with their numbers.
    pub fn all(&self) -> BTreeMap<usize, Arc<Worker>> {
        self.lock().clone()
    }

    /// Sets the limits of the steps.
    pub fn set_limits(&self, limits: StepLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Sets whether the worker is a member of the group. The host is ready when all workers are members.
    pub fn set_member(&self, health: &Health, number: usize, member: bool) {
        self.worker(number).member.store(member, Ordering::Relaxed);
        // The lock is held, so that the last update is the current one.
        let all = self.lock();
        let missing = all.iter().filter(|(_, worker)| !worker.member.load(Ordering::Relaxed));
        let missing: Vec<String> = missing.map(|(number, _)| number.to_string()).collect();
        match &missing[..] {
            [] => health.ready(COMPONENT),
            _ => health.not_ready(COMPONENT, format!("not in the group yet: worker {}", missing.join(", "))),
        }
    }

    /// The reasons why the host is not ready: a line for each worker that exceeds the limit of its step.
    pub fn overdue(&self) -> Vec<String> {
        self.beyond(UNREADY_GRACE)
    }

    /// The reasons to restart the process: a line for each worker that failed, or that exceeds the limit of its step by far.
    pub fn stuck(&self) -> Vec<String> {
        self.beyond(STUCK_GRACE)
    }

    fn beyond(&self, grace: Duration) -> Vec<String> {
        let limits = *self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let beyond = |(number, worker): (&usize, &Arc<Worker>)| {
            let (activity, took) = worker.activity();
            let longest = activity.limit(&limits)? + grace;
            if activity == Activity::Failed {
                return Some(format!("worker {number} has failed"));
            }
            (took > longest).then(|| {
                let (took, longest) = (took.as_secs(), longest.as_secs());
                format!("worker {number} has been {} for {took} s; the limit is {longest} s", activity.name())
            })
        };
        self.lock().iter().filter_map(beyond).collect()
    }

    /// The partitions that the workers have, and where they are in them.
    pub fn positions(&self) -> BTreeMap<i32, WorkerPosition> {
        let mut all = BTreeMap::new();
        for worker in self.lock().values() {
            all.extend(worker.positions().iter().map(|(partition, place)| (*partition, *place)));
        }
        all
    }

    /// The committed offsets of the group for the partitions of the workers.
    pub fn committed(&self, committed: &Positions) {
        for worker in self.lock().values() {
            worker.committed(committed);
        }
    }
}

#[cfg(test)]
mod tests;
