//! The thread that swaps, with plugins that are words and workers that are played by the test.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::{Journal, WorkerSlot};
use mapper_core::record::{Batch, Positions, SourcePositions};
use mapper_core::verdict::{FailureKind, Verdicts};
use mapper_pipeline::VersionSlot as _;

/// How many plugins there are at the moment.
#[derive(Clone, Default)]
struct Live(Arc<AtomicUsize>);

struct Word {
    word: String,
    live: Live,
}

impl Drop for Word {
    fn drop(&mut self) {
        self.live.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Is never asked: nothing was sampled.
struct Mute;

impl Mapper for Mute {
    fn map_until_failure(&mut self, _: &Batch, _: &mut Verdicts) {
        unreachable!("there are no records");
    }
}

struct Words {
    live: Live,
    /// Until it is open, the cases of the word `slow` don't end.
    gate: Arc<AtomicBool>,
    has_store: bool,
}

impl Words {
    fn plugin(&self, word: &str) -> Arc<Word> {
        self.live.0.fetch_add(1, Ordering::Relaxed);
        Arc::new(Word { word: word.to_owned(), live: self.live.clone() })
    }
}

impl VersionLoader for Words {
    type Plugin = Word;
    type Mapper = Mute;

    fn load(&self, bytes: &[u8]) -> Result<Word, Refused> {
        let before = self.live.0.fetch_add(1, Ordering::Relaxed);
        assert!(before <= 1 || !self.has_store, "the one that speaks, and no other, is held beside the new one");
        Ok(Word { word: String::from_utf8_lossy(bytes).into_owned(), live: self.live.clone() })
    }

    fn identify(&self, plugin: &Word) -> (Version, &'static str) {
        (version(&plugin.word), "1.0.0")
    }

    fn mapper(&self, _: &Arc<Word>, _: Option<usize>) -> Result<Mute, Refused> {
        Ok(Mute)
    }

    fn run_cases(&self, plugin: &Word, _: &mut Trial) -> Result<(), Refused> {
        until(|| plugin.word != "slow" || self.gate.load(Ordering::Relaxed));
        Ok(())
    }

    fn set_active(&self, _: &Word, _: By, _: Option<PathBuf>) {}

    fn committed(&self, partitions: &[i32]) -> Positions {
        partitions.iter().map(|partition| (*partition, 77)).collect()
    }
}

/// The digest is that of the word: what is kept on disk is checked against it.
fn version(word: &str) -> Version {
    let digest = mapper_core::identity::Digest::hash_bytes(word.as_bytes()).to_string();
    Version { name: word.to_owned(), version: "1.0.0".into(), digest }
}

struct Play {
    slot: Arc<Slot<Mute>>,
    requests: Arc<RequestQueue>,
    workers: Vec<WorkerSlot<Mute>>,
    gate: Arc<AtomicBool>,
    shutdown: Shutdown,
}

impl Play {
    fn ask(&self, word: &str) -> tokio::sync::oneshot::Receiver<Reply> {
        let request = Request::Swap { bytes: word.into(), by: By::Http, force: false, dry_run: false };
        self.requests.ask(request).expect("it has time")
    }

    /// A worker comes to the end of its transaction, once there is something for it.
    fn take(&mut self, worker: usize, places: &SourcePositions) {
        let worker = &mut self.workers[worker];
        until(|| worker.is_due());
        worker.take(&mut Mute, places.clone()).expect("something waits");
    }

    /// Returns to a version, by its digest.
    fn roll_back_to(&mut self, word: &str, from: &str) -> Box<Report> {
        let [to, from] = [word, from].map(|word| Some(version(word).digest));
        let answer = self.requests.ask(Request::Rollback { to, from }).expect("it has time");
        (0..self.workers.len()).for_each(|worker| self.take(worker, &SourcePositions::new()));
        report(answer)
    }

    fn swap(&mut self, word: &str) -> Box<Report> {
        let answer = self.ask(word);
        (0..self.workers.len()).for_each(|worker| self.take(worker, &SourcePositions::new()));
        report(answer)
    }
}

use crate::report::Report;

fn report(answer: tokio::sync::oneshot::Receiver<Reply>) -> Box<Report> {
    match answer.blocking_recv() {
        Ok(Reply::Report(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// What another thread does is waited for.
fn until(mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < Duration::from_secs(20), "it never happened");
        std::thread::yield_now();
    }
}

/// Plays with two workers and the word `one`.
fn play(patience: Duration, act: impl FnOnce(&mut Play)) {
    let dir = tempfile::tempdir().unwrap();
    play_with(Some(Store::new(dir.path().to_owned())), patience, act);
}

fn play_with(store: Option<Store>, patience: Duration, act: impl FnOnce(&mut Play)) {
    let words = Words { live: Live::default(), gate: Arc::default(), has_store: store.is_some() };
    let gate = words.gate.clone();
    let journal = Arc::new(Journal::in_memory());
    let (term, _) = journal.start_with(version("one"));
    let speaker = Arc::new(ActiveVersion { term: term.number, version: term.version, contract: "1.0.0" });
    let slot = Arc::new(Slot::new(2, term.number, 1000, journal, false));
    let requests = Arc::new(RequestQueue::new(slot.wakeup.clone()));
    let routes = Arc::new(Routes::with_default_limits(&["reduced"], "dlq"));
    let policy = Policy { max_broken: 0, probation: ProbationTerms { records: 10, tolerance: 0.0 }, patience };
    let first = (words.plugin("one"), speaker.clone());
    let swapper = Swapper::new(words, first, slot.clone(), requests.clone(), (routes, policy, store));
    swapper.keep_first(b"one");
    let shutdown = Shutdown::default();
    let workers = (0..2).map(|worker| WorkerSlot::new(slot.clone(), worker, speaker.clone())).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| swapper.run(&shutdown));
        let mut play = Play { slot: slot.clone(), requests, workers, gate, shutdown: shutdown.clone() };
        // Also if the test fails.
        let end = End(&shutdown, &slot);
        act(&mut play);
        drop(end);
    });
}

struct End<'a>(&'a Shutdown, &'a Slot<Mute>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.request();
        self.1.wakeup.notify();
    }
}

const LONG: Duration = Duration::from_secs(60);
/// To the version before.
const ROLLBACK: Request = Request::Rollback { to: None, from: None };

#[test]
fn a_swap_has_ended_when_every_worker_has_taken_it_and_says_from_where() {
    play(LONG, |play| {
        let answer = play.ask("two");
        play.take(0, &[(0, Some(5)), (1, None)].into());
        play.take(1, &[(2, Some(9))].into());
        let report = report(answer);
        assert_eq!((report.outcome, report.to), (Ended::Swapped, Some(version("two"))));
        // Where nothing was fetched yet, the broker knows.
        assert_eq!(report.offsets, BTreeMap::from([(0, Some(5)), (1, Some(77)), (2, Some(9))]));
    });
}

#[test]
fn a_worker_that_is_kept_makes_the_answer_come_early_and_the_swap_late() {
    play(Duration::ZERO, |play| {
        let answer = play.ask("two");
        play.take(0, &SourcePositions::new());
        play.slot.wakeup.notify();
        let early = report(answer);
        assert_eq!(early.outcome, Ended::Switching);
        assert!(early.reason.unwrap().contains("of 2 workers"));
        assert_eq!(play.requests.ask(ROLLBACK).unwrap_err(), Busy::Swapping(Step::Switch));
        play.take(1, &SourcePositions::new());
        until(|| play.requests.last().is_some());
        assert_eq!(play.requests.last().unwrap().outcome, Ended::Swapped);
        assert_eq!(play.requests.busy(), None);
    });
}

#[test]
fn a_worker_that_has_ended_is_not_waited_for() {
    play(LONG, |play| {
        play.workers.pop();
        let answer = play.ask("two");
        play.take(0, &SourcePositions::new());
        assert_eq!(report(answer).outcome, Ended::Swapped);
        // Nor is one that ends meanwhile.
        let answer = play.ask("three");
        until(|| play.workers[0].is_due());
        play.workers.pop();
        assert_eq!(report(answer).outcome, Ended::Swapped);
    });
}

#[test]
fn a_host_that_ends_meanwhile_says_how_far_it_came() {
    play(LONG, |play| {
        let answer = play.ask("two");
        play.take(0, &SourcePositions::new());
        play.shutdown.request();
        play.slot.wakeup.notify();
        let report = report(answer);
        assert_eq!((report.outcome, report.step), (Ended::Refused, Some(Step::Switch)));
        assert!(report.reason.unwrap().contains("1 of 2 workers"));
        until(|| play.requests.ask(Request::StopShadow).is_err_and(|busy| busy == Busy::Ending));
    });
}

#[test]
fn versions_go_back_as_they_came_with_at_most_two_in_memory() {
    play(LONG, |play| {
        for word in ["two", "three", "four"] {
            assert_eq!(play.swap(word).outcome, Ended::Swapped);
        }
        for word in ["three", "two", "one"] {
            let answer = play.requests.ask(ROLLBACK).unwrap();
            (0..2).for_each(|worker| play.take(worker, &SourcePositions::new()));
            assert_eq!(report(answer).to, Some(version(word)));
        }
        let refused = report(play.requests.ask(ROLLBACK).unwrap());
        assert_eq!((refused.outcome, refused.step), (Ended::Refused, Some(Step::Read)));
    });
}

fn crash(play: &mut Play) {
    let worker = &mut play.workers[1];
    [None, None, Some(FailureKind::Timeout)].into_iter().for_each(|failure| worker.record_judged(failure));
    worker.batch_judged();
}

/// Waits until the workers have returned to the version before, after a probation that failed.
fn rolled_back(play: &mut Play) -> Report {
    (0..2).for_each(|worker| play.take(worker, &SourcePositions::new()));
    until(|| play.requests.last().is_some_and(|last| last.by == By::Probation));
    play.requests.last().unwrap()
}

#[test]
fn a_version_that_can_not_be_kept_on_disk_can_be_returned_to_all_the_same() {
    play_with(None, LONG, |play| {
        play.swap("two");
        let request = Request::Swap { bytes: b"three".to_vec(), by: By::Http, force: false, dry_run: true };
        assert_eq!(report(play.requests.ask(request).unwrap()).outcome, Ended::Tried);
        crash(play);
        assert_eq!(rolled_back(play).to, Some(version("one")));
    });
}

#[test]
fn one_that_fails_its_probation_while_another_is_tried_out_is_rolled_back_first() {
    play(LONG, |play| {
        play.swap("two");
        let answer = play.ask("slow");
        until(|| play.requests.busy() == Some(Step::TryOut));
        crash(play);
        play.gate.store(true, Ordering::Relaxed);
        let refused = report(answer);
        assert_eq!((refused.outcome, refused.step), (Ended::Refused, Some(Step::Switch)));
        assert!(refused.reason.unwrap().contains("has failed its probation"));
        assert_eq!(rolled_back(play).to, Some(version("one")));
    });
}

#[test]
fn one_that_crashes_in_its_probation_is_rolled_back_by_itself() {
    play(LONG, |play| {
        play.swap("two");
        crash(play);
        let last = rolled_back(play);
        assert_eq!((last.outcome, last.to), (Ended::Swapped, Some(version("one"))));
        assert!(last.reason.unwrap().contains("ended in a timeout"));
    });
}

#[test]
fn rollback_after_an_automatic_rollback_changes_nothing_unless_a_version_is_named() {
    play(LONG, |play| {
        play.swap("two");
        play.swap("three");
        crash(play);
        assert_eq!(rolled_back(play).to, Some(version("two")));
        let refused = report(play.requests.ask(ROLLBACK).unwrap());
        assert_eq!((refused.outcome, refused.step), (Ended::Refused, Some(Step::Read)));
        assert!(refused.reason.unwrap().contains("already rolled back: three"));
        assert_eq!(play.roll_back_to("one", "two").to, Some(version("one")));
    });
}

#[test]
fn rollback_that_was_planned_for_another_active_version_is_refused() {
    play(LONG, |play| {
        play.swap("two");
        let (to, from) = (Some(version("one").digest), Some(version("three").digest));
        let refused = report(play.requests.ask(Request::Rollback { to, from }).unwrap());
        assert_eq!((refused.outcome, refused.step), (Ended::Refused, Some(Step::Read)));
        assert!(refused.reason.unwrap().contains("the active version is two"));
        let request = Request::Rollback { to: Some(version("two").digest), from: None };
        assert_eq!(report(play.requests.ask(request).unwrap()).outcome, Ended::Unchanged);
    });
}

#[test]
fn version_that_failed_its_probation_is_on_probation_again_when_it_is_returned_to() {
    play(LONG, |play| {
        play.swap("two");
        crash(play);
        rolled_back(play);
        assert!(play.slot.probation().is_none());
        assert_eq!(play.roll_back_to("two", "one").to, Some(version("two")));
        assert!(play.slot.probation().is_some());
    });
}

#[test]
fn version_with_nothing_to_return_to_maps_on_after_a_failed_probation_and_can_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    play_with(Some(Store::new(dir.path().to_owned())), LONG, |play| {
        play.swap("two");
        // Trying out another one takes the room of the version before, and its file is gone.
        let request = Request::Swap { bytes: b"three".to_vec(), by: By::Http, force: false, dry_run: true };
        assert_eq!(report(play.requests.ask(request).unwrap()).outcome, Ended::Tried);
        std::fs::remove_file(dir.path().join(format!("{}.wasm", version("one").digest))).unwrap();
        crash(play);
        until(|| play.requests.last().is_some_and(|last| last.by == By::Probation));
        assert_eq!(play.requests.last().unwrap().outcome, Ended::Refused);
        assert!(!play.workers[0].is_withdrawn());
        assert_eq!(play.swap("three").outcome, Ended::Swapped);
    });
}
