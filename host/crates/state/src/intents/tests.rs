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

fn start(dir: &Path) -> Arc<Intents> {
    Arc::new(Intents::open(dir, ("readers", "visits"), 3))
}

/// How the next process maps a record.
fn taken(dir: &Path, record: (i32, i64)) -> Taken {
    Intent::of(start(dir), 0).next(&batch(&[record]), 0..1).1
}

#[test]
fn in_flight_records_of_a_crashed_process_are_mapped_alone() {
    let dir = tempfile::tempdir().unwrap();
    let records = batch(&[(0, 4), (0, 5), (1, 9)]);
    {
        let process = start(dir.path());
        let (mut first, mut second) = (Intent::of(process.clone(), 0), Intent::of(process, 1));
        first.begin(&batch(&[(0, 1), (0, 2)]), 0..2);
        first.end(&batch(&[(0, 1), (0, 2)]), 0..2);
        second.begin(&records, 1..3);
    }
    let intent = Intent::of(start(dir.path()), 0);
    let longer = batch(&[(0, 1), (0, 2), (0, 4), (0, 5), (1, 9), (1, 10), (1, 11)]);
    let mut at = 0;
    let mut seen = Vec::new();
    while at < longer.len() {
        let (count, taken) = intent.next(&longer, at..longer.len());
        seen.push((count, taken));
        at += count;
    }
    assert_eq!(seen, [(3, Taken::Together), (1, Taken::Alone), (1, Taken::Alone), (2, Taken::Together)]);
}

#[test]
fn record_is_quarantined_after_three_crashes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let record = batch(&[(0, 5)]);
    for _ in 0..3 {
        let mut intent = Intent::of(start(dir.path()), 0);
        assert_eq!(intent.next(&record, 0..1).0, 1);
        intent.begin(&record, 0..1);
    }
    assert_eq!(taken(dir.path(), (0, 5)), Taken::Never(3));
    // Until its dead letter is committed.
    assert_eq!(taken(dir.path(), (0, 5)), Taken::Never(3));
    start(dir.path()).committed(&Positions::from([(0, 6)]));
    assert_eq!(taken(dir.path(), (0, 5)), Taken::Together);
}

#[test]
fn succeeded_record_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let record = batch(&[(0, 5)]);
    for _ in 0..2 {
        Intent::of(start(dir.path()), 0).begin(&record, 0..1);
    }
    let mut intent = Intent::of(start(dir.path()), 0);
    intent.begin(&record, 0..1);
    intent.end(&record, 0..1);
    drop(intent);
    assert_eq!(taken(dir.path(), (0, 5)), Taken::Together);
}

#[test]
fn concurrent_processes_have_separate_slots_and_the_next_takes_over_abandoned_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (start(dir.path()), start(dir.path()));
    Intent::of(first.clone(), 0).begin(&batch(&[(0, 1), (0, 2)]), 0..2);
    Intent::of(second.clone(), 0).begin(&batch(&[(1, 1)]), 0..1);
    // Both processes are alive.
    assert_eq!(taken(dir.path(), (0, 1)), Taken::Together);
    drop((first, second));
    let next = start(dir.path());
    assert_eq!(Intent::of(next.clone(), 0).next(&batch(&[(0, 1)]), 0..1).1, Taken::Alone);
    assert_eq!(Intent::of(next, 1).next(&batch(&[(1, 1)]), 0..1).1, Taken::Alone);
    // Each crash is counted once.
    for _ in 0..3 {
        assert_eq!(taken(dir.path(), (1, 1)), Taken::Alone);
    }
}

#[test]
fn other_groups_and_topics_are_unaffected() {
    let dir = tempfile::tempdir().unwrap();
    Intent::of(start(dir.path()), 0).begin(&batch(&[(0, 1)]), 0..1);
    for other in [("others", "visits"), ("readers", "orders")] {
        let intents = Arc::new(Intents::open(dir.path(), other, 3));
        assert_eq!(Intent::of(intents, 0).next(&batch(&[(0, 1)]), 0..1).1, Taken::Together);
    }
    assert_eq!(taken(dir.path(), (0, 1)), Taken::Alone);
}

#[test]
fn unusable_folder_disables_the_markers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for intents in [Intents::open(&file, ("readers", "visits"), 3), Intents::none()] {
        let mut intent = Intent::of(Arc::new(intents), 3);
        let records = batch(&[(0, 1), (0, 2)]);
        intent.begin(&records, 0..2);
        intent.end(&records, 0..2);
        assert_eq!(intent.next(&records, 0..2), (2, Taken::Together));
        intent.committed(&Positions::from([(0, 3)]));
    }
}
