//! Processes that crash during a call, sequentially and concurrently, with one state folder.

use std::fs;
use std::path::Path;

use super::*;

/// The first eight bytes of the SHA-256 of `readers`, NUL, `visits`.
const READERS_OF_VISITS: &str = "dcdf3cf5e3f1fdab";

fn batch(records: &[(i32, i64)]) -> Batch {
    let mut batch = Batch::new("visits");
    for at in records {
        batch.push(*at, 0, None, None, std::iter::empty());
    }
    batch
}

fn start(dir: &Path) -> Arc<InFlightMarkers> {
    start_with(dir, "readers", "visits")
}

fn start_with(dir: &Path, group: &str, topic: &str) -> Arc<InFlightMarkers> {
    let claim = Arc::new(StateClaim::open(dir, group).unwrap());
    Arc::new(InFlightMarkers::open(&claim, &TopicNames::one(topic), 3))
}

/// How the next process maps a record.
fn taken(dir: &Path, record: (i32, i64)) -> Handling {
    WorkerMarker::new(start(dir), 0).next(&batch(&[record]), 0..1).1
}

#[test]
fn in_flight_records_of_a_crashed_process_are_mapped_alone() {
    let dir = tempfile::tempdir().unwrap();
    let records = batch(&[(0, 4), (0, 5), (1, 9)]);
    {
        let process = start(dir.path());
        let (mut first, mut second) = (WorkerMarker::new(process.clone(), 0), WorkerMarker::new(process, 1));
        first.begin(&batch(&[(0, 1), (0, 2)]), 0..2);
        first.end(&batch(&[(0, 1), (0, 2)]), 0..2);
        second.begin(&records, 1..3);
    }
    let intent = WorkerMarker::new(start(dir.path()), 0);
    let longer = batch(&[(0, 1), (0, 2), (0, 4), (0, 5), (1, 9), (1, 10), (1, 11)]);
    let mut at = 0;
    let mut seen = Vec::new();
    while at < longer.len() {
        let (count, taken) = intent.next(&longer, at..longer.len());
        seen.push((count, taken));
        at += count;
    }
    assert_eq!(seen, [(3, Handling::Together), (1, Handling::Alone), (1, Handling::Alone), (2, Handling::Together)]);
}

#[test]
fn record_is_quarantined_after_three_crashes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let record = batch(&[(0, 5)]);
    for _ in 0..3 {
        let mut intent = WorkerMarker::new(start(dir.path()), 0);
        assert_eq!(intent.next(&record, 0..1).0, 1);
        intent.begin(&record, 0..1);
    }
    assert_eq!(taken(dir.path(), (0, 5)), Handling::Quarantined(3));
    // Until its dead letter is committed.
    assert_eq!(taken(dir.path(), (0, 5)), Handling::Quarantined(3));
    start(dir.path()).committed(&Positions::from([(0, 6)]));
    assert_eq!(taken(dir.path(), (0, 5)), Handling::Together);
}

#[test]
fn succeeded_record_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let record = batch(&[(0, 5)]);
    for _ in 0..2 {
        WorkerMarker::new(start(dir.path()), 0).begin(&record, 0..1);
    }
    let mut intent = WorkerMarker::new(start(dir.path()), 0);
    intent.begin(&record, 0..1);
    intent.end(&record, 0..1);
    drop(intent);
    assert_eq!(taken(dir.path(), (0, 5)), Handling::Together);
}

#[test]
fn concurrent_processes_have_separate_slots_and_the_next_takes_over_abandoned_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (start(dir.path()), start(dir.path()));
    WorkerMarker::new(first.clone(), 0).begin(&batch(&[(0, 1), (0, 2)]), 0..2);
    WorkerMarker::new(second.clone(), 0).begin(&batch(&[(1, 1)]), 0..1);
    // Both processes are alive.
    assert_eq!(taken(dir.path(), (0, 1)), Handling::Together);
    drop((first, second));
    let next = start(dir.path());
    assert_eq!(WorkerMarker::new(next.clone(), 0).next(&batch(&[(0, 1)]), 0..1).1, Handling::Alone);
    assert_eq!(WorkerMarker::new(next, 1).next(&batch(&[(1, 1)]), 0..1).1, Handling::Alone);
    // Each crash is counted once.
    for _ in 0..3 {
        assert_eq!(taken(dir.path(), (1, 1)), Handling::Alone);
    }
}

#[test]
fn other_groups_and_topics_are_unaffected() {
    let dir = tempfile::tempdir().unwrap();
    WorkerMarker::new(start(dir.path()), 0).begin(&batch(&[(0, 1)]), 0..1);
    for (group, topic) in [("others", "visits"), ("readers", "orders")] {
        let markers = start_with(dir.path(), group, topic);
        assert_eq!(WorkerMarker::new(markers, 0).next(&batch(&[(0, 1)]), 0..1).1, Handling::Together);
    }
    assert_eq!(taken(dir.path(), (0, 1)), Handling::Alone);
}

#[test]
fn suspects_of_a_recreated_topic_are_dropped_and_those_of_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let topics = TopicNames::new(["visits", "orders"]);
    let open = || {
        let claim = Arc::new(StateClaim::open(dir.path(), "readers").unwrap());
        Arc::new(InFlightMarkers::open(&claim, &topics, 3))
    };
    let order = topics.number(1, 1).unwrap();
    let records = Batch { topics: topics.clone(), ..batch(&[(1, 4), (order, 4)]) };
    WorkerMarker::new(open(), 0).begin(&records, 0..2);
    let markers = open();
    let taken = |index: usize| WorkerMarker::new(markers.clone(), 0).next(&records, index..index + 1).1;
    assert_eq!((taken(0), taken(1)), (Handling::Alone, Handling::Alone));
    markers.forget_records(&topics.numbers(1));
    assert_eq!((taken(0), taken(1)), (Handling::Alone, Handling::Together));
}

#[test]
fn unusable_file_disables_the_markers() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(format!("{READERS_OF_VISITS}-0.calls"))).unwrap();
    let claim = Arc::new(StateClaim::open(dir.path(), "readers").unwrap());
    let broken = InFlightMarkers::open(&claim, &TopicNames::one("visits"), 3);
    assert!(broken.slot.is_none());
    for markers in [broken, InFlightMarkers::none()] {
        let mut intent = WorkerMarker::new(Arc::new(markers), 3);
        let records = batch(&[(0, 1), (0, 2)]);
        intent.begin(&records, 0..2);
        intent.end(&records, 0..2);
        assert_eq!(intent.next(&records, 0..2), (2, Handling::Together));
        intent.committed(&Positions::from([(0, 3)]));
    }
}

#[test]
fn markers_of_an_earlier_version_are_taken_over_from_all_its_slots_and_not_from_a_running_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = |slot: usize, suffix: &str| dir.path().join(format!("{READERS_OF_VISITS}-{slot}.{suffix}"));
    // An earlier version counted the slots of markers by themselves: slot 2 of markers could belong to slot 0 of the group.
    let mut marker = Vec::new();
    for (slot, offset) in [(0, 1), (2, 7), (3, 9)] {
        let records = batch(&[(0, offset)]);
        Entry::write(&mut marker, slot as u64 + 1, &records, 0..1);
        fs::write(path(slot, "calls"), &marker).unwrap();
    }
    fs::write(path(2, "suspects.json"), r#"{"spans":[[1,3,4]],"deaths":[[0,7,2]],"processes":[5]}"#).unwrap();
    let running = fs::File::open(path(3, "calls")).unwrap();
    running.try_lock().unwrap();

    let worker = WorkerMarker::new(start(dir.path()), 0);
    let handling = |record| worker.next(&batch(&[record]), 0..1).1;
    assert_eq!(handling((0, 1)), Handling::Alone);
    assert_eq!(handling((0, 7)), Handling::Quarantined(3));
    assert_eq!(handling((1, 3)), Handling::Alone);
    assert_eq!(handling((0, 9)), Handling::Together, "its host still runs");
    assert_eq!(fs::read(path(3, "calls")).unwrap(), marker);
    assert!(!path(2, "suspects.json").exists());
}

#[test]
fn markers_keep_the_slot_of_their_process_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let markers = start(dir.path());
    assert_eq!(StateClaim::open(dir.path(), "readers").unwrap().slot(), 1);
    drop(markers);
    assert_eq!(StateClaim::open(dir.path(), "readers").unwrap().slot(), 0);
}
