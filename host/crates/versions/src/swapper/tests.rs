//! The swap thread with plugins that are words. The test plays the workers.

mod rollback;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::tryout::Trial;
use crate::{Journal, WorkerSlot};
use mapper_core::identity::{ActiveVersion, Digest, Identity};
use mapper_core::record::{Batch, Positions, SourcePositions};
use mapper_core::verdict::{FailureKind, Verdicts};
use mapper_pipeline::VersionSlot as _;
use mapper_pipeline::contracts::Mapper;

/// The number of plugins in memory.
#[derive(Clone, Default)]
struct Live(Arc<AtomicUsize>);

struct Word {
    identity: Identity,
    live: Live,
}

impl Drop for Word {
    fn drop(&mut self) {
        self.live.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Maps nothing: the sample is empty.
struct NoRecords;

impl Mapper for NoRecords {
    fn map_until_failure(&mut self, _: &Batch, _: Range<usize>, _: &mut Verdicts) {
        unreachable!("there are no records");
    }
}

struct Words {
    live: Live,
    /// The cases of the word `slow` end when the gate is open.
    gate: Arc<AtomicBool>,
    has_store: bool,
}

impl Words {
    fn plugin(&self, word: &str) -> Arc<Word> {
        self.live.0.fetch_add(1, Ordering::Relaxed);
        Arc::new(Word { identity: identity(word), live: self.live.clone() })
    }
}

impl VersionLoader for Words {
    type Plugin = Word;
    type Mapper = NoRecords;

    fn load(&self, bytes: &[u8]) -> Result<Word, Refusal> {
        let before = self.live.0.fetch_add(1, Ordering::Relaxed);
        assert!(before <= 1 || !self.has_store, "only the active and the new version are in memory");
        Ok(Word { identity: identity(&String::from_utf8_lossy(bytes)), live: self.live.clone() })
    }

    fn identity<'p>(&self, plugin: &'p Word) -> &'p Identity {
        &plugin.identity
    }

    fn create_mapper(&self, _: &Arc<Word>, _: Option<usize>) -> Result<NoRecords, Refusal> {
        Ok(NoRecords)
    }

    fn run_cases(&self, plugin: &Word, _: &mut Trial) -> Result<(), Refusal> {
        assert_ne!(plugin.identity.name, "panics", "on purpose");
        wait_until(|| plugin.identity.name != "slow" || self.gate.load(Ordering::Relaxed));
        Ok(())
    }

    fn set_active(&self, _: &Arc<Word>, _: Trigger, _: Option<PathBuf>) {}

    fn read_committed(&self, partitions: &[i32]) -> Positions {
        partitions.iter().map(|partition| (*partition, 77)).collect()
    }
}

/// The store checks the digest.
fn identity(word: &str) -> Identity {
    let digest = Digest::hash_bytes(word.as_bytes());
    Identity { name: word.to_owned(), version: "1.0.0".into(), digest, bytes: word.len() as u64, contract: "1.0.0" }
}

fn version(word: &str) -> Version {
    (&identity(word)).into()
}

/// A swap thread, and two workers that the test drives.
struct TestHost {
    slot: Arc<Slot<NoRecords>>,
    requests: Arc<RequestQueue>,
    workers: Vec<WorkerSlot<NoRecords>>,
    gate: Arc<AtomicBool>,
    shutdown: Shutdown,
}

impl TestHost {
    fn submit_swap(&self, word: &str) -> tokio::sync::oneshot::Receiver<Reply> {
        let request = Request::Swap { bytes: word.into(), by: Trigger::Http, force: false, dry_run: false };
        self.requests.submit(request).expect("no other request is in progress")
    }

    /// A worker ends its transaction and takes the offered mapper.
    fn take(&mut self, worker: usize, positions: &SourcePositions) {
        let worker = &mut self.workers[worker];
        wait_until(|| worker.is_due());
        worker.take(&mut NoRecords, positions.clone()).expect("a mapper is offered");
    }

    fn roll_back_to(&mut self, word: &str, from: &str) -> Box<Report> {
        let [to, from] = [word, from].map(|word| Some(version(word).digest));
        let answer = self.requests.submit(Request::Rollback { to, from }).expect("no other request is in progress");
        (0..self.workers.len()).for_each(|worker| self.take(worker, &SourcePositions::new()));
        report(answer)
    }

    fn swap(&mut self, word: &str) -> Box<Report> {
        let answer = self.submit_swap(word);
        (0..self.workers.len()).for_each(|worker| self.take(worker, &SourcePositions::new()));
        report(answer)
    }
}

use mapper_api::versions::Report;

fn report(answer: tokio::sync::oneshot::Receiver<Reply>) -> Box<Report> {
    match answer.blocking_recv() {
        Ok(Reply::Report(report)) => report,
        other => panic!("{other:?}"),
    }
}

/// Waits for another thread.
fn wait_until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "the condition never became true");
        std::thread::yield_now();
    }
}

/// Runs `test` on a host with two workers and the version `one`.
fn with_host(answer_timeout: Duration, test: impl FnOnce(&mut TestHost)) {
    let dir = tempfile::tempdir().unwrap();
    with_store(Some(Store::new(dir.path().to_owned())), answer_timeout, test);
}

fn with_store(store: Option<Store>, answer_timeout: Duration, test: impl FnOnce(&mut TestHost)) {
    let (swapper, mut host) = create_host(store, answer_timeout);
    let (shutdown, slot) = (host.shutdown.clone(), host.slot.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| swapper.run(&shutdown));
        // It ends the swap thread even if the test panics.
        let end = ShutdownOnDrop(&shutdown, &slot);
        test(&mut host);
        drop(end);
    });
}

/// A swapper that does not run yet, and its host.
fn create_host(store: Option<Store>, answer_timeout: Duration) -> (Swapper<Words>, TestHost) {
    let words = Words { live: Live::default(), gate: Arc::default(), has_store: store.is_some() };
    let gate = words.gate.clone();
    let journal = Arc::new(Journal::in_memory());
    let (term, _) = journal.start_with(version("one"));
    let active = Arc::new(ActiveVersion { term: term.number, version: term.version, contract: "1.0.0" });
    let slot = Arc::new(Slot::new(2, term.number, 1000, journal, false));
    let requests = Arc::new(RequestQueue::new(slot.wakeup.clone()));
    let routes = Arc::new(Routes::with_default_limits(&["reduced"], "dlq"));
    let policy = Policy { max_broken: 0, probation: ProbationSettings { records: 10, tolerance: 0.0 }, answer_timeout };
    let first = LoadedVersion { plugin: words.plugin("one"), active: active.clone() };
    let swapper = Swapper::new(words, first, slot.clone(), requests.clone(), SwapContext { routes, policy, store });
    swapper.store_first(b"one");
    let workers = (0..2).map(|worker| WorkerSlot::new(slot.clone(), worker, active.clone())).collect();
    (swapper, TestHost { slot, requests, workers, gate, shutdown: Shutdown::default() })
}

struct ShutdownOnDrop<'a>(&'a Shutdown, &'a Slot<NoRecords>);

impl Drop for ShutdownOnDrop<'_> {
    fn drop(&mut self) {
        self.0.request();
        self.1.wakeup.notify();
    }
}

const LONG: Duration = Duration::from_secs(60);
const ROLLBACK: Request = Request::Rollback { to: None, from: None };

#[test]
fn swap_ends_when_all_workers_have_switched_and_reports_offsets() {
    with_host(LONG, |host| {
        let answer = host.submit_swap("two");
        host.take(0, &[(0, Some(5)), (1, None)].into());
        host.take(1, &[(2, Some(9))].into());
        let report = report(answer);
        assert_eq!((report.outcome, report.to), (SwapOutcome::Swapped, Some(version("two"))));
        // The worker fetched nothing of partition 1. Its offset is the committed one.
        assert_eq!(report.offsets, BTreeMap::from([(0.into(), Some(5)), (1.into(), Some(77)), (2.into(), Some(9))]));
    });
}

#[test]
fn blocked_worker_delays_the_swap_but_not_the_answer() {
    with_host(Duration::ZERO, |host| {
        let answer = host.submit_swap("two");
        host.take(0, &SourcePositions::new());
        host.slot.wakeup.notify();
        let early = report(answer);
        assert_eq!(early.outcome, SwapOutcome::Switching);
        assert!(early.reason.unwrap().contains("of 2 workers"));
        assert_eq!(host.requests.submit(ROLLBACK).unwrap_err(), Busy::Swapping(Step::Switch));
        host.take(1, &SourcePositions::new());
        wait_until(|| host.requests.last_report().is_some());
        assert_eq!(host.requests.last_report().unwrap().outcome, SwapOutcome::Swapped);
        // The step ends after the report is there.
        wait_until(|| host.requests.current_step().is_none());
    });
}

#[test]
fn swap_does_not_wait_for_ended_workers() {
    with_host(LONG, |host| {
        host.workers.pop();
        let answer = host.submit_swap("two");
        host.take(0, &SourcePositions::new());
        assert_eq!(report(answer).outcome, SwapOutcome::Swapped);
        // The last worker ends during the swap.
        let answer = host.submit_swap("three");
        wait_until(|| host.workers[0].is_due());
        host.workers.pop();
        assert_eq!(report(answer).outcome, SwapOutcome::Swapped);
    });
}

#[test]
fn shutdown_during_a_swap_reports_the_switched_workers() {
    with_host(LONG, |host| {
        let answer = host.submit_swap("two");
        host.take(0, &SourcePositions::new());
        host.shutdown.request();
        host.slot.wakeup.notify();
        let report = report(answer);
        assert_eq!((report.outcome, report.step), (SwapOutcome::Refused, Some(Step::Switch)));
        assert!(report.reason.unwrap().contains("1 of 2 workers"));
        wait_until(|| host.requests.submit(Request::StopShadow).is_err_and(|busy| busy == Busy::Ending));
    });
}

fn assert_closed_after_panic(requests: &RequestQueue) {
    requests.close_after_panic();
    assert_eq!(requests.submit(ROLLBACK).unwrap_err(), Busy::Panicked);
    assert_eq!(requests.current_step(), None);
}

#[test]
fn request_in_progress_is_answered_when_the_swap_thread_panics() {
    let (swapper, host) = create_host(None, LONG);
    let answer = host.submit_swap("panics");
    let shutdown = host.shutdown.clone();
    let swap_thread = std::thread::spawn(move || swapper.run(&shutdown));
    assert!(matches!(answer.blocking_recv(), Ok(Reply::Panicked)));
    assert!(swap_thread.join().is_err());
    assert_closed_after_panic(&host.requests);
}

#[test]
fn pending_request_is_answered_when_the_swap_thread_panics() {
    let (_swapper, host) = create_host(None, LONG);
    let answer = host.submit_swap("two");
    assert_closed_after_panic(&host.requests);
    assert!(matches!(answer.blocking_recv(), Ok(Reply::Panicked)));
}
