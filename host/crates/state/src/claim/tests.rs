//! Processes that claim slots of one folder, sequentially and concurrently, also beside hosts of an earlier version.

use std::fs;

use super::*;

/// The first eight bytes of the SHA-256 of `readers`.
const READERS: &str = "e2257349c139799f";

fn claim(dir: &Path) -> StateClaim {
    StateClaim::open(dir, "readers").unwrap()
}

#[test]
fn running_hosts_have_different_slots_and_the_next_takes_over_a_free_one() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (claim(dir.path()), claim(dir.path()));
    let other = StateClaim::open(dir.path(), "others").unwrap();
    assert_eq!([first.slot(), second.slot(), other.slot()], [0, 1, 0]);
    let ids = [&first, &second, &other].map(|claim| claim.transactional_id().unwrap());
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    assert!(ids[0].starts_with("mapper-host-readers-"), "{}", ids[0]);
    let history = first.history_dir().unwrap();
    history.write("history.jsonl", b"kept").unwrap();
    assert!(!second.history_dir().unwrap().has("history.jsonl"));
    drop(first);
    let next = claim(dir.path());
    assert_eq!((next.slot(), next.transactional_id().unwrap()), (0, ids[0].clone()));
    assert!(next.history_dir().unwrap().has("history.jsonl"));
}

#[test]
fn ids_of_two_state_folders_differ() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ids = dirs.each_ref().map(|dir| claim(dir.path()).transactional_id().unwrap());
    assert_ne!(ids[0], ids[1]);
    assert_ne!(random_transactional_id("readers"), random_transactional_id("readers"));
}

#[test]
fn damaged_lock_file_gets_a_new_number() {
    let dir = tempfile::tempdir().unwrap();
    let first = claim(dir.path()).transactional_id().unwrap();
    let file = dir.path().join(format!("{READERS}-0.lock"));
    for damaged in [&b""[..], b"0123", b"0123456789abcdeg", &[0xff; 100]] {
        fs::write(&file, damaged).unwrap();
        let next = claim(dir.path());
        let id = next.transactional_id().unwrap();
        assert_ne!(id, first);
        assert_eq!(next.transactional_id().unwrap(), id);
        drop(next);
        assert_eq!(claim(dir.path()).transactional_id().unwrap(), id);
    }
}

/// The layout of a host before there was one claim: `GROUP-SLOT.lock` with the number, `history-GROUP-SLOT.lock`, and the folder
/// `history-GROUP-SLOT`.
#[test]
fn host_keeps_the_transactional_id_and_the_history_of_an_earlier_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name.replace("GROUP", READERS));
    fs::write(path("GROUP-0.lock"), "0123456789abcdef\n").unwrap();
    fs::write(path("history-GROUP-0.lock"), "").unwrap();
    PrivateDir::open(&path("history-GROUP-0")).unwrap().write("history.jsonl", b"kept").unwrap();
    let claim = claim(dir.path());
    assert!(claim.transactional_id().unwrap().ends_with("-0123456789abcdef"));
    assert!(claim.history_dir().unwrap().has("history.jsonl"));
}

#[test]
fn running_host_of_an_earlier_version_keeps_its_slot() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name.replace("GROUP", READERS));
    let lock = |name: &str| {
        let file = fs::File::create(path(name)).unwrap();
        file.try_lock().unwrap();
        file
    };
    // At least once, an earlier version locked the history only.
    let first = lock("history-GROUP-0.lock");
    assert_eq!(claim(dir.path()).slot(), 1);
    let _second = lock("GROUP-1.lock");
    assert_eq!(claim(dir.path()).slot(), 2);
    drop(first);
    let upgraded = claim(dir.path());
    assert_eq!(upgraded.slot(), 0);
    // The other way round, a host of an earlier version does not get the history of this one.
    let earlier = fs::File::open(path("history-GROUP-0.lock")).unwrap();
    assert!(matches!(earlier.try_lock(), Err(TryLockError::WouldBlock)));
}

#[test]
fn unusable_folder_is_an_error_with_the_folder_and_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = format!("{:#}", StateClaim::open(&file, "readers").unwrap_err());
    assert!(error.contains(file.to_str().unwrap()) && error.contains("Set another --state-dir"), "{error}");
    fs::create_dir(dir.path().join(format!("{READERS}-0.lock"))).unwrap();
    let error = format!("{:#}", StateClaim::open(dir.path(), "readers").unwrap_err());
    assert!(error.contains(dir.path().to_str().unwrap()) && error.contains("Set another --state-dir"), "{error}");
}

#[test]
fn removed_lock_file_is_an_error_with_the_file_and_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let claim = claim(dir.path());
    let file = dir.path().join(format!("{READERS}-0.lock"));
    fs::remove_file(&file).unwrap();
    let history = claim.history_dir().map(|_| ()).unwrap_err();
    for error in [claim.transactional_id().map(|_| ()).unwrap_err(), history, claim.dir().map(|_| ()).unwrap_err()] {
        let error = format!("{error:#}");
        assert!(error.contains(file.to_str().unwrap()) && error.contains("Start the host again"), "{error}");
    }
    // Another host gets the slot now.
    assert_eq!(StateClaim::open(dir.path(), "readers").unwrap().slot(), 0);
    assert!(claim.dir().is_err(), "the file is that of another host");
}
