//! What each worker is doing, since when, and where it is in its partitions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::health::Health;
use crate::record::Positions;

/// As whom the workers say that the host is not ready.
const WHO: &str = "group";

/// How much longer than its limit a step takes before its worker makes the host not ready.
const UNREADY_GRACE: Duration = Duration::from_secs(20);
/// How much longer than its limit a step takes before its worker counts as stuck.
const STUCK_GRACE: Duration = Duration::from_secs(60);

/// How long each step takes at most, also while Kafka is away: a step that waits for it ends with an error then, and is tried again.
/// Fetching waits for nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepLimits {
    /// Making the clients ready.
    pub starting: Duration,
    /// The mapping of one batch.
    pub mapping: Duration,
    /// Handing outputs to the producer.
    pub producing: Duration,
    /// A commit.
    pub committing: Duration,
    /// One attempt to go back to the committed offsets.
    pub recovering: Duration,
    /// Closing the clients.
    pub leaving: Duration,
}

/// What a worker is doing. The word that [`Activity::name`] gives is used in `/status` and `/livez`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Making its clients ready.
    Starting,
    /// Waiting for records.
    Fetching,
    /// In the plugin.
    Mapping,
    /// Handing outputs and dead letters to the producer.
    Producing,
    /// Committing.
    Committing,
    /// Going back to the committed offsets; each attempt counts by itself.
    Recovering,
    /// Everything that it will commit is committed; it closes its clients.
    Leaving,
    /// It has ended as asked.
    Ended,
    /// It has ended otherwise.
    Failed,
}

impl Activity {
    const ALL: [Self; 9] = [
        Self::Starting,
        Self::Fetching,
        Self::Mapping,
        Self::Producing,
        Self::Committing,
        Self::Recovering,
        Self::Leaving,
        Self::Ended,
        Self::Failed,
    ];

    /// The activity as one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Fetching => "fetching",
            Self::Mapping => "mapping",
            Self::Producing => "producing",
            Self::Committing => "committing",
            Self::Recovering => "recovering",
            Self::Leaving => "leaving",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    /// How long it takes at most; `None`: it has no end.
    fn limit(self, limits: &StepLimits) -> Option<Duration> {
        match self {
            Self::Starting => Some(limits.starting),
            Self::Fetching | Self::Failed => Some(Duration::ZERO),
            Self::Mapping => Some(limits.mapping),
            Self::Producing => Some(limits.producing),
            Self::Committing => Some(limits.committing),
            Self::Recovering => Some(limits.recovering),
            Self::Leaving => Some(limits.leaving),
            Self::Ended => None,
        }
    }
}

/// Where a worker is in a partition. Offsets are those of the next record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The worker that has it.
    pub worker: usize,
    /// The record to be fetched next; `None` until one was fetched.
    pub position: Option<i64>,
    /// Up to where it is committed; `None` as long as it is not known, or nothing ever was.
    pub committed: Option<i64>,
    /// The end of the partition (its high watermark); `None` until it was heard of.
    pub end: Option<i64>,
}

impl Place {
    /// Records still to be fetched, counting what transactions leave in the partition beside its records.
    pub fn lag(&self) -> Option<u64> {
        // In a partition that never had a record nothing is ever fetched or committed.
        let empty = self.end.filter(|end| *end == 0);
        let at = self.position.or(self.committed).or(empty)?;
        Some(u64::try_from(self.end? - at).unwrap_or(0))
    }
}

/// One worker, as it says itself.
#[derive(Debug)]
pub struct Worker {
    number: usize,
    begun: Instant,
    activity: AtomicU8,
    /// Milliseconds since `begun`.
    since_ms: AtomicU64,
    member: AtomicBool,
    places: Mutex<BTreeMap<i32, Place>>,
}

impl Worker {
    fn new(number: usize) -> Self {
        Self {
            number,
            begun: Instant::now(),
            activity: AtomicU8::new(Activity::Starting as u8),
            since_ms: AtomicU64::new(0),
            member: AtomicBool::new(false),
            places: Mutex::default(),
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<i32, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it does this.
    pub fn does(&self, activity: Activity) {
        self.since_ms.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// What it does, and for how long by now.
    pub fn activity(&self) -> (Activity, Duration) {
        let activity = Activity::ALL[usize::from(self.activity.load(Ordering::Relaxed))];
        let since = Duration::from_millis(self.since_ms.load(Ordering::Relaxed));
        (activity, self.begun.elapsed().saturating_sub(since))
    }

    /// These are its partitions: where it is in each, and where that ends.
    pub fn is_at(&self, positions: impl Iterator<Item = (i32, Option<i64>, Option<i64>)>) {
        let mut places = self.places();
        let before = std::mem::take(&mut *places);
        *places = positions
            .map(|(partition, position, end)| {
                let known = before.get(&partition);
                let committed = known.and_then(|place| place.committed);
                let end = end.or(known.and_then(|place| place.end));
                (partition, Place { worker: self.number, position, committed, end })
            })
            .collect();
    }

    /// Up to these offsets it is committed.
    pub fn committed(&self, next: &Positions) {
        let mut places = self.places();
        for (partition, offset) in next {
            if let Some(place) = places.get_mut(partition) {
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

    /// The worker of that number.
    pub fn worker(&self, number: usize) -> Arc<Worker> {
        self.lock().entry(number).or_insert_with(|| Arc::new(Worker::new(number))).clone()
    }

    /// All workers with their numbers.
    pub fn all(&self) -> BTreeMap<usize, Arc<Worker>> {
        self.lock().clone()
    }

    /// How long each step takes at most.
    pub fn set_limits(&self, limits: StepLimits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// The worker is a member of the group from now on, or no more. The host is ready when all are.
    pub fn set_member(&self, health: &Health, number: usize, member: bool) {
        self.worker(number).member.store(member, Ordering::Relaxed);
        // What is seen is said with the lock held, so that the last word is the true one.
        let all = self.lock();
        let strangers = all.iter().filter(|(_, worker)| !worker.member.load(Ordering::Relaxed));
        let strangers: Vec<String> = strangers.map(|(number, _)| number.to_string()).collect();
        match &strangers[..] {
            [] => health.ready(WHO),
            _ => health.not_ready(WHO, format!("not in the group yet: worker {}", strangers.join(", "))),
        }
    }

    /// Why the host is not ready: a line for each worker that takes longer than its step may.
    pub fn overdue(&self) -> Vec<String> {
        self.beyond(UNREADY_GRACE)
    }

    /// Why the process should be restarted: a line for each worker that failed, or that takes much longer than its step may.
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
                format!(
                    "worker {number} has been {} for {took} s, which takes no longer than {longest} s",
                    activity.name()
                )
            })
        };
        self.lock().iter().filter_map(beyond).collect()
    }

    /// The partitions that the workers have, and where they are in them.
    pub fn places(&self) -> BTreeMap<i32, Place> {
        let mut all = BTreeMap::new();
        for worker in self.lock().values() {
            all.extend(worker.places().iter().map(|(partition, place)| (*partition, *place)));
        }
        all
    }

    /// What the group has committed of the partitions that the workers have, whoever did it.
    pub fn committed(&self, committed: &Positions) {
        for worker in self.lock().values() {
            worker.committed(committed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn place(worker: usize, position: Option<i64>, committed: Option<i64>, end: Option<i64>) -> Place {
        Place { worker, position, committed, end }
    }

    #[test]
    fn what_is_known_of_a_partition_goes_with_it() {
        let workers = Workers::default();
        let (zero, one) = (workers.worker(0), workers.worker(1));
        zero.is_at([(3, None, None), (4, Some(7), Some(9))].into_iter());
        one.is_at([(5, Some(1), None)].into_iter());
        workers.committed(&Positions::from([(3, 2), (5, 1), (6, 9)]));
        assert_eq!(workers.places()[&3], place(0, None, Some(2), None));
        // An end that is not told anew stays; a partition that went is forgotten.
        zero.is_at([(3, Some(4), Some(6)), (4, Some(8), None)].into_iter());
        assert_eq!(workers.places()[&3], place(0, Some(4), Some(2), Some(6)));
        assert_eq!(workers.places()[&4], place(0, Some(8), None, Some(9)));
        zero.is_at([(4, Some(9), None)].into_iter());
        assert_eq!(workers.places().into_keys().collect::<Vec<_>>(), [4, 5]);
        assert_eq!(workers.places()[&5], place(1, Some(1), Some(1), None));
    }

    #[test]
    fn lag_is_what_is_left_to_fetch() {
        for (position, committed, end, lag) in [
            (Some(4), Some(2), Some(6), Some(2)),
            (None, Some(2), Some(6), Some(4)),
            (None, None, Some(6), None),
            (Some(4), None, None, None),
            (None, None, Some(0), Some(0)),
            // The end is older than the position.
            (Some(7), None, Some(6), Some(0)),
        ] {
            assert_eq!(place(0, position, committed, end).lag(), lag, "{position:?} {committed:?} {end:?}");
        }
    }

    #[test]
    fn worker_beyond_the_limit_of_its_step_is_not_ready_then_not_alive() {
        let workers = Workers::default();
        let worker = workers.worker(2);
        // As if it had begun to do so that long ago.
        let since = |activity: Activity, seconds: u64| {
            let mut aged = Worker::new(2);
            aged.begun = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            aged.activity.store(activity as u8, Ordering::Relaxed);
            workers.all.lock().unwrap().insert(2, Arc::new(aged));
            workers.stuck()
        };
        assert_eq!(since(Activity::Fetching, 59), [] as [&str; 0]);
        assert_eq!(
            since(Activity::Fetching, 61),
            ["worker 2 has been fetching for 61 s, which takes no longer than 60 s"]
        );
        let seconds = Duration::from_secs;
        workers.set_limits(StepLimits {
            starting: seconds(1),
            mapping: seconds(100),
            producing: seconds(3),
            committing: seconds(40),
            recovering: seconds(50),
            leaving: seconds(6),
        });
        for (activity, limit) in [
            (Activity::Starting, 1),
            (Activity::Mapping, 100),
            (Activity::Producing, 3),
            (Activity::Committing, 40),
            (Activity::Recovering, 50),
            (Activity::Leaving, 6),
        ] {
            // First the host is not ready, then it is not alive.
            for (took, overdue, stuck) in [(19, 0, 0), (21, 1, 0), (59, 1, 0), (61, 1, 1)] {
                let found = since(activity, limit + took).len();
                assert_eq!(
                    (workers.overdue().len(), found),
                    (overdue, stuck),
                    "{activity:?} for its limit and {took} s"
                );
            }
        }
        assert!(since(Activity::Ended, 10_000).is_empty());
        assert_eq!(since(Activity::Failed, 0), ["worker 2 has failed"]);
        drop(worker);
    }

    #[test]
    fn a_step_is_counted_from_its_beginning() {
        let workers = Workers::default();
        let worker = workers.worker(0);
        for activity in Activity::ALL {
            worker.does(activity);
            assert_eq!(worker.activity().0, activity);
            assert!(worker.activity().1 < Duration::from_secs(60));
        }
    }

    #[test]
    fn all_workers_must_be_members() {
        let (workers, health) = (Workers::default(), Health::default());
        workers.worker(1);
        workers.set_member(&health, 0, false);
        assert_eq!(health.reasons(), [("group", "not in the group yet: worker 0, 1".to_owned())]);
        workers.set_member(&health, 0, true);
        workers.set_member(&health, 1, true);
        assert_eq!(health.reasons(), []);
        workers.set_member(&health, 1, false);
        assert_eq!(health.reasons(), [("group", "not in the group yet: worker 1".to_owned())]);
    }

    /// A host whose workers joined at the same moment was not ready ever after, though all of them worked.
    #[test]
    fn workers_that_join_at_once_make_the_host_ready() {
        for _ in 0..20_000 {
            let (workers, health, both) = (Workers::default(), Health::default(), Barrier::new(2));
            (0..2).for_each(|number| workers.set_member(&health, number, false));
            let join = |number| {
                both.wait();
                workers.set_member(&health, number, true);
            };
            std::thread::scope(|scope| {
                scope.spawn(|| join(0));
                join(1);
            });
            assert_eq!(health.reasons(), []);
        }
    }
}
