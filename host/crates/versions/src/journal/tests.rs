//! The journal: an event is on disk when the wait for its ticket returns.

use std::fs;
use std::path::Path;

use super::*;
use mapper_core::verdict::FailureKind;

fn open(dir: &Path) -> anyhow::Result<Journal> {
    Journal::open(PrivateDir::open(dir)?)
}

fn version(digest: &str) -> Version {
    Version { name: "reduce".into(), version: "1.0.0".into(), digest: digest.into() }
}

fn counts(records_in: u64) -> Counts {
    let mut counts = Counts::default();
    counts.records_in = records_in;
    counts.dead_letter(FailureKind::Trap);
    counts
}

/// The history as a restart after kill -9 reads it.
fn read_from_disk(dir: &Path) -> History {
    read(&PrivateDir::open(dir).unwrap()).unwrap()
}

#[test]
fn event_is_on_disk_after_wait() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let term = journal.begin(version("a"), Trigger::Start, false).number;
    journal.wait(journal.open_spans(term, 0, [(0, 7)].into()));
    let found = read_from_disk(dir.path());
    assert_eq!(found.term_at(0, 7).unwrap().version.digest, "a");
    assert_eq!(found, journal.read(History::clone));
}

#[test]
fn counts_are_on_disk_after_a_clean_shutdown_and_after_a_swap() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let first = journal.begin(version("a"), Trigger::Start, false).number;
    journal.open_spans(first, 0, [(0, 0)].into());
    journal.record_commit(first, &[(0, 5)].into(), &counts(5));
    let second = journal.begin(version("b"), Trigger::File, false).number;
    journal.open_spans(second, 0, [(0, 5)].into());
    journal.record_commit(second, &[(0, 8)].into(), &counts(3));
    drop(journal);
    let found = read_from_disk(dir.path());
    let tally = |term| &found.term(term).unwrap().tally;
    assert_eq!((tally(first).records_in, tally(second).records_in), (5, 3));
    assert_eq!(tally(second).dead_letters["trap"], 1);
    assert_eq!(found.spans(second).next().unwrap().1.reached, 8);
    let again = open(dir.path()).unwrap();
    assert_eq!(again.read(History::clone), found);
}

#[test]
fn truncated_last_line_is_skipped_and_damaged_file_is_copied_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    drop({
        let journal = open(dir.path()).unwrap();
        journal.begin(version("a"), Trigger::Start, false);
        journal
    });
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{{\"from\":{{\"te")).unwrap();
    assert_eq!(read_from_disk(dir.path()).terms().count(), 1);
    assert!(!path.with_extension("damaged").exists());
    fs::write(&path, format!("{whole}nonsense\n{whole}")).unwrap();
    assert_eq!(read_from_disk(dir.path()).terms().count(), 1);
    assert!(path.with_extension("damaged").exists());
    fs::write(&path, [whole.as_bytes(), b"\xff\n"].concat()).unwrap();
    assert_eq!(read_from_disk(dir.path()).terms().count(), 1);
}

#[test]
fn journal_that_is_not_a_regular_file_is_refused_and_link_target_is_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (path, victim) = (dir.path().join(FILE), dir.path().join("victim"));
    fs::write(&victim, "kept").unwrap();
    for target in [victim.as_path(), Path::new("/dev/zero")] {
        std::os::unix::fs::symlink(target, &path).unwrap();
        let error = open(dir.path()).err().unwrap();
        assert!(format!("{error:#}").contains("not a regular file: a symbolic link"), "{error:#}");
        fs::remove_file(&path).unwrap();
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(format!("{error:#}").contains("a named pipe (FIFO)"), "{error:#}");
    assert_eq!(fs::read(&victim).unwrap(), b"kept");
}

#[test]
fn file_length_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let term = journal.begin(version("a"), Trigger::Start, false).number;
    for at in 0..MOST_LINES as i64 {
        journal.open_spans(term, 0, [(0, 2 * at)].into());
        journal.close_spans(term, 0, [(0, 2 * at + 1)].into());
    }
    journal.wait(journal.open_spans(term, 0, [(1, 3)].into()));
    let expected = journal.read(History::clone);
    drop(journal);
    assert_eq!(read_from_disk(dir.path()), expected);
    let lines = fs::read_to_string(dir.path().join(FILE)).unwrap().lines().count();
    assert!(lines <= MOST_LINES, "{lines} lines");
}

#[test]
fn journal_in_memory_keeps_the_history_without_an_error() {
    let journal = Journal::in_memory();
    let term = journal.begin(version("a"), Trigger::Start, false).number;
    journal.wait(journal.open_spans(term, 0, [(0, 7)].into()));
    assert!(journal.read(|history| history.term_at(0, 8).is_some()));
    assert_eq!(journal.error(), None);
}

#[test]
fn late_close_of_a_worker_does_not_close_the_span_of_another_worker() {
    let journal = Journal::in_memory();
    let term = journal.begin(version("a"), Trigger::Start, false).number;
    journal.open_spans(term, 0, [(0, 5)].into());
    // The group gives the partition to another worker before the first one learns of it.
    journal.open_spans(term, 1, [(0, 9)].into());
    journal.close_spans(term, 0, [(0, 9)].into());
    journal.read(|history| {
        assert!(history.term_at(0, 8).is_some() && history.term_at(0, 12).is_some(), "{history:?}");
    });
    journal.close_spans(term, 1, [(0, 12)].into());
    journal.read(|history| assert!(history.term_at(0, 11).is_some() && history.term_at(0, 12).is_none()));
}
