//! Processes that crash during a call, sequentially and concurrently, with one state folder.

use std::fs;

use super::*;

fn batch(records: &[(i32, i64)]) -> Batch {
    let mut batch = Batch::new("visits");
    for at in records {
        batch.push(*at, 0, None, None, std::iter::empty());
    }
    batch
}

fn start(dir: &Path) -> Arc<InFlightMarkers> {
    Arc::new(InFlightMarkers::open(dir, ("readers", "visits"), 3))
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
    for other in [("others", "visits"), ("readers", "orders")] {
        let markers = Arc::new(InFlightMarkers::open(dir.path(), other, 3));
        assert_eq!(WorkerMarker::new(markers, 0).next(&batch(&[(0, 1)]), 0..1).1, Handling::Together);
    }
    assert_eq!(taken(dir.path(), (0, 1)), Handling::Alone);
}

#[test]
fn unusable_folder_disables_the_markers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for markers in [InFlightMarkers::open(&file, ("readers", "visits"), 3), InFlightMarkers::none()] {
        let mut intent = WorkerMarker::new(Arc::new(markers), 3);
        let records = batch(&[(0, 1), (0, 2)]);
        intent.begin(&records, 0..2);
        intent.end(&records, 0..2);
        assert_eq!(intent.next(&records, 0..2), (2, Handling::Together));
        intent.committed(&Positions::from([(0, 3)]));
    }
}
