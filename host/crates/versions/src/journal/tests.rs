//! The journal: what was waited for is in the file, whatever happens to the process next.

use std::fs;

use super::*;
use mapper_core::verdict::FailureKind;

fn version(digest: &str) -> Version {
    Version { name: "reduce".into(), version: "1.0.0".into(), digest: digest.into() }
}

fn counts(records_in: u64) -> Counts {
    let mut counts = Counts::default();
    counts.records_in = records_in;
    counts.dead_letter(FailureKind::Trap);
    counts
}

/// As after kill -9: only what is in the file counts.
fn as_found(dir: &Path) -> History {
    read(&PrivateDir::open(dir).unwrap()).unwrap()
}

#[test]
fn what_was_waited_for_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let term = journal.begin(version("a"), By::Start, false).number;
    journal.wait(journal.from(term, [(0, 7)].into()));
    let found = as_found(dir.path());
    assert_eq!(found.term_at(0, 7).unwrap().version.digest, "a");
    assert_eq!(found, journal.read(History::clone));
}

#[test]
fn counts_are_there_after_an_orderly_end_and_at_the_next_swap() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let first = journal.begin(version("a"), By::Start, false).number;
    journal.from(first, [(0, 0)].into());
    journal.committed(first, &[(0, 5)].into(), &counts(5));
    let second = journal.begin(version("b"), By::File, false).number;
    journal.from(second, [(0, 5)].into());
    journal.committed(second, &[(0, 8)].into(), &counts(3));
    drop(journal);
    let found = as_found(dir.path());
    let tally = |term| &found.term(term).unwrap().tally;
    assert_eq!((tally(first).records_in, tally(second).records_in), (5, 3));
    assert_eq!(tally(second).dead_letters["trap"], 1);
    assert_eq!(found.spans(second).next().unwrap().1.reached, 8);
    let again = Journal::open(dir.path()).unwrap();
    assert_eq!(again.read(History::clone), found);
}

#[test]
fn a_line_that_was_cut_is_left_out_and_a_damaged_file_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    drop({
        let journal = Journal::open(dir.path()).unwrap();
        journal.begin(version("a"), By::Start, false);
        journal
    });
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{{\"from\":{{\"te")).unwrap();
    assert_eq!(as_found(dir.path()).terms().count(), 1);
    assert!(!path.with_extension("damaged").exists());
    fs::write(&path, format!("{whole}nonsense\n{whole}")).unwrap();
    assert_eq!(as_found(dir.path()).terms().count(), 1);
    assert!(path.with_extension("damaged").exists());
    fs::write(&path, [whole.as_bytes(), b"\xff\n"].concat()).unwrap();
    assert_eq!(as_found(dir.path()).terms().count(), 1);
}

#[test]
fn journal_that_is_no_file_is_refused_and_nothing_is_written_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (path, victim) = (dir.path().join(FILE), dir.path().join("victim"));
    fs::write(&victim, "kept").unwrap();
    for target in [victim.as_path(), Path::new("/dev/zero")] {
        std::os::unix::fs::symlink(target, &path).unwrap();
        let error = Journal::open(dir.path()).err().unwrap();
        assert!(format!("{error:#}").contains("it is a symbolic link, not a regular file"), "{error:#}");
        fs::remove_file(&path).unwrap();
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let error = Journal::open(dir.path()).err().unwrap();
    assert!(format!("{error:#}").contains("a named pipe (FIFO)"), "{error:#}");
    assert_eq!(fs::read(&victim).unwrap(), b"kept");
}

#[test]
fn the_file_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let term = journal.begin(version("a"), By::Start, false).number;
    for at in 0..MOST_LINES as i64 {
        journal.from(term, [(0, 2 * at)].into());
        journal.to(term, [(0, 2 * at + 1)].into());
    }
    journal.wait(journal.from(term, [(1, 3)].into()));
    let expected = journal.read(History::clone);
    drop(journal);
    assert_eq!(as_found(dir.path()), expected);
    let lines = fs::read_to_string(dir.path().join(FILE)).unwrap().lines().count();
    assert!(lines <= MOST_LINES, "{lines} lines");
}

#[test]
fn without_a_disk_the_history_lasts_as_long_as_the_process() {
    let journal = Journal::in_memory();
    let term = journal.begin(version("a"), By::Start, false).number;
    journal.wait(journal.from(term, [(0, 7)].into()));
    assert!(journal.read(|history| history.term_at(0, 8).is_some()));
    assert_eq!(journal.error(), None);
}
