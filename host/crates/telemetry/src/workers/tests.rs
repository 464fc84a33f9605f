//! The reports of workers, and workers beyond their limits.

use mapper_pipeline::contracts::PartitionPosition;
use std::sync::Barrier;

use super::*;

fn place(worker: usize, position: Option<i64>, committed: Option<i64>, end: Option<i64>) -> WorkerPosition {
    WorkerPosition { worker, position, committed, end }
}

#[test]
fn state_of_a_revoked_partition_is_dropped() {
    let workers = Workers::default();
    let (zero, one) = (workers.worker(0), workers.worker(1));
    zero.set_positions(&mut [at(3, None, None), at(4, Some(7), Some(9))].into_iter());
    one.set_positions(&mut [at(5, Some(1), None)].into_iter());
    workers.committed(&Positions::from([(3, 2), (5, 1), (6, 9)]));
    assert_eq!(workers.positions()[&3], place(0, None, Some(2), None));
    // A missing end keeps the last one. A revoked partition is dropped.
    zero.set_positions(&mut [at(3, Some(4), Some(6)), at(4, Some(8), None)].into_iter());
    assert_eq!(workers.positions()[&3], place(0, Some(4), Some(2), Some(6)));
    assert_eq!(workers.positions()[&4], place(0, Some(8), None, Some(9)));
    zero.set_positions(&mut [at(4, Some(9), None)].into_iter());
    assert_eq!(workers.positions().into_keys().collect::<Vec<_>>(), [4, 5]);
    assert_eq!(workers.positions()[&5], place(1, Some(1), Some(1), None));
}

#[test]
fn lag_is_the_difference_of_end_and_position() {
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
    // The activity began in the past.
    let since = |activity: Activity, seconds: u64| {
        let mut aged = Worker::new(2);
        aged.begun = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        aged.activity.store(activity as u8, Ordering::Relaxed);
        workers.all.lock().unwrap().insert(2, Arc::new(aged));
        workers.stuck()
    };
    assert_eq!(since(Activity::Fetching, 59), [] as [&str; 0]);
    assert_eq!(since(Activity::Fetching, 61), ["worker 2 has been fetching for 61 s; the limit is 60 s"]);
    let seconds = Duration::from_secs;
    workers.set_limits(StepLimits {
        starting: seconds(1),
        preparing: seconds(7),
        mapping: seconds(100),
        producing: seconds(3),
        committing: seconds(40),
        recovering: seconds(50),
        leaving: seconds(6),
    });
    for (activity, limit) in [
        (Activity::Starting, 1),
        (Activity::Preparing, 7),
        (Activity::Mapping, 100),
        (Activity::Producing, 3),
        (Activity::Committing, 40),
        (Activity::Recovering, 50),
        (Activity::Leaving, 6),
    ] {
        // First the host is not ready, then it is not alive.
        for (took, overdue, stuck) in [(19, 0, 0), (21, 1, 0), (59, 1, 0), (61, 1, 1)] {
            let found = since(activity, limit + took).len();
            assert_eq!((workers.overdue().len(), found), (overdue, stuck), "{activity:?} for its limit and {took} s");
        }
    }
    assert!(since(Activity::Ended, 10_000).is_empty());
    assert_eq!(since(Activity::Failed, 0), ["worker 2 has failed"]);
    drop(worker);
}

#[test]
fn step_time_starts_at_the_change_of_activity() {
    let worker = Workers::default().worker(0);
    let after = |seconds: u64| worker.begun + Duration::from_secs(seconds);
    assert_eq!(worker.activity_at(after(7)), (Activity::Starting, Duration::from_secs(7)));
    for (activity, began) in Activity::ALL.into_iter().zip((10..).step_by(10)) {
        worker.set_activity_at(activity, after(began));
        assert_eq!(worker.activity_at(after(began)), (activity, Duration::ZERO));
        assert_eq!(worker.activity_at(after(began + 3)), (activity, Duration::from_secs(3)));
    }
}

#[test]
fn host_is_ready_when_all_workers_are_members() {
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

/// Workers that joined at the same time left the host not ready for ever.
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

fn at(partition: i32, position: Option<i64>, end: Option<i64>) -> PartitionPosition {
    PartitionPosition { partition, position, end }
}
