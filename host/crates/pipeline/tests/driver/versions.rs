//! Swaps of versions while the loop runs on the in-memory Kafka: each record has the version of the history.

use std::cell::RefCell;
use std::rc::Weak;

use super::kafka::Kafka;
use super::*;
use mapper_versions::probation::ProbationSettings;
use mapper_versions::{ActiveVersion, Journal, Slot, Trigger, Version};

/// The version in the headers of a record: outputs have it because of `--provenance`, dead letters always have it.
pub(super) const MADE_BY: &str = "mapper-host.plugin.digest";

/// A short probation for tests.
pub(super) const PROBATION: ProbationSettings = ProbationSettings { records: 200, tolerance: 0.0 };

/// The state of versions. It outlives the pipelines, as the journal on disk does.
pub(super) struct Versions {
    journal: Arc<Journal>,
    /// The slot of the running pipeline.
    slot: Option<Arc<Slot<ByValue>>>,
    /// Whether the delivery is at-least-once.
    pub(super) is_seen_at_once: bool,
    count: usize,
    /// The number of the active version, and of the one before it.
    active: usize,
    before: usize,
    kafka: Weak<RefCell<Kafka>>,
}

impl Default for Versions {
    fn default() -> Self {
        let journal = Arc::new(Journal::in_memory());
        Self { journal, slot: None, is_seen_at_once: false, count: 0, active: 0, before: 0, kafka: Weak::new() }
    }
}

fn version(number: usize) -> Version {
    Version { name: "by-value".into(), version: "1.0.0".into(), digest: format!("v{number}") }
}

/// Starts a new process with the present version.
#[expect(clippy::arc_with_non_send_sync, reason = "mappers of plugins are sent; this one stays with its fake")]
pub(super) fn join(fake: &Fake) -> WorkerSlot<ByValue> {
    let versions = &mut fake.kafka().versions;
    let (term, _) = versions.journal.start_with(version(0));
    let slot = Arc::new(Slot::new(1, term.number, 1000, versions.journal.clone(), versions.is_seen_at_once));
    (versions.active, versions.before) = (0, 0);
    versions.slot = Some(slot.clone());
    WorkerSlot::new(slot, 0, Arc::new(ActiveVersion { term: term.number, version: term.version, contract: "1.0.0" }))
}

impl Versions {
    pub(super) fn of(&mut self, kafka: &std::rc::Rc<RefCell<Kafka>>) {
        self.kafka = std::rc::Rc::downgrade(kafka);
    }

    /// Another version waits from now on.
    pub(super) fn offer(&mut self, probation: Option<ProbationSettings>) {
        self.count += 1;
        self.before = std::mem::replace(&mut self.active, self.count);
        self.offer_active(Trigger::Http, probation);
    }

    /// Does the rollback of the swap thread after a failed probation.
    pub(super) fn return_if_withdrawn(&mut self) {
        let Some(slot) = &self.slot else { return };
        let term = self.journal.read(|history| history.last().map_or(0, |last| last.number));
        if slot.is_withdrawn(term) {
            self.active = self.before;
            self.offer_active(Trigger::Probation, None);
        }
    }

    fn offer_active(&mut self, by: Trigger, probation: Option<ProbationSettings>) {
        let slot = self.slot.as_ref().expect("somebody has joined");
        let term = self.journal.begin(version(self.active), by, false);
        slot.begin(term.number, probation);
        let mapper = ByValue(Fake(self.kafka.upgrade().expect("it is used")));
        let active_version = ActiveVersion { term: term.number, version: term.version, contract: "1.0.0" };
        slot.offer(vec![mapper], &Arc::new(active_version));
    }

    /// Checks that each record has the version that the history names for its input.
    pub(super) fn check<'r>(&self, made: impl Iterator<Item = &'r Produced>) {
        self.journal.read(|history| {
            // Records of another member are not checked.
            for record in made.filter(|record| !record.header(MADE_BY).is_empty()) {
                let (partition, offset) = record.of;
                let active_version = history.term_at(partition, offset).map(|term| term.version.digest.as_str());
                assert_eq!(active_version, Some(record.header(MADE_BY)), "at {partition}:{offset}: {history:?}");
            }
        });
    }
}

fn made_by(fake: &Fake) -> Vec<(i64, String)> {
    let kafka = fake.kafka();
    let mut made: Vec<_> =
        kafka.topics.iter().flatten().map(|record| (record.of.1, record.header(MADE_BY).to_owned())).collect();
    made.sort();
    made
}

#[test]
fn new_version_begins_at_the_committed_offsets_of_the_old_one() {
    let values = vec!["one", "reject", "one", "one", "reject", "one"];
    let fake = Fake::new(&[values], vec![(Call::Fetch, 3, Event::Swap)]);
    let observed = Arc::default();
    start(&fake, Work { batch_records: 2, ..ALL_AT_ONCE }, &observed).run().unwrap();
    check(&fake, &observed);
    everything_was_done(&fake);
    // Offset 3 is a gap. The third fetch had begun before the offer, so its records are mapped by the old version.
    let expected = [(0, "v0"), (1, "v0"), (2, "v0"), (4, "v0"), (5, "v1"), (6, "v1")];
    assert_eq!(made_by(&fake), expected.map(|(offset, by)| (offset, by.to_owned())));
    assert!(log(&fake).contains("begin, commit 4, begin, commit 2"), "{}", log(&fake));
    let fake = Fake::new(&[vec!["one", "reject", "one", "one"]], vec![(Call::Fetch, 2, Event::Swap)]);
    start(&fake, Work { batch_records: 1, ..ALL_AT_ONCE }, &observed).run().unwrap();
    let expected = [(0, "v0"), (1, "v1"), (2, "v1"), (4, "v1")];
    assert_eq!(made_by(&fake), expected.map(|(offset, by)| (offset, by.to_owned())));
    assert!(log(&fake).contains("begin, commit 1, begin, commit 3"), "{}", log(&fake));
}

#[test]
fn aborted_records_are_mapped_by_the_version_that_is_active_then() {
    let script = vec![(Call::Send, 3, Event::Swap), (Call::Commit, 1, Event::Again)];
    let fake = Fake::new(&[vec!["one", "reject", "one", "one"]], script);
    let observed = Arc::default();
    start(&fake, Work { batch_records: 1, ..ALL_AT_ONCE }, &observed).run().unwrap();
    check(&fake, &observed);
    everything_was_done(&fake);
    assert!(made_by(&fake).iter().all(|(_, by)| by == "v1"), "{:?}", made_by(&fake));
}

#[test]
fn commit_without_an_answer_belongs_to_the_old_version() {
    let script = vec![(Call::Send, 3, Event::Swap), (Call::Commit, 1, Event::Unanswered)];
    let fake = Fake::new(&[vec!["one", "reject", "one", "one"]], script);
    let observed = Arc::default();
    let mut pipeline = start(&fake, Work { batch_records: 1, ..ALL_AT_ONCE }, &observed);
    pipeline.run().unwrap();
    {
        let kafka = fake.kafka();
        kafka.versions.check(kafka.topics.iter().flatten());
    }
    let by: Vec<String> = made_by(&fake).into_iter().map(|(_, by)| by).collect();
    assert_eq!(by, ["v0", "v0", "v0", "v1"]);
}

#[test]
fn commit_without_an_answer_before_the_end_is_in_the_history() {
    // The process ends before it can read the committed offsets.
    let script =
        vec![(Call::Commit, 1, Event::Unanswered), (Call::Abort, 1, Event::Shutdown), (Call::Rewind, 1, Event::Again)];
    let fake = Fake::new(&[vec!["one", "reject", "one"]], script);
    start(&fake, ALL_AT_ONCE, &Arc::default()).run().unwrap();
    assert_eq!(made_by(&fake).len(), 3);
    let kafka = fake.kafka();
    kafka.versions.check(kafka.topics.iter().flatten());
}

#[test]
fn partition_that_is_assigned_again_has_a_span_of_its_own() {
    let back = Revoke { partitions: vec![0], lost: false, records_elsewhere: 2, back_after: 1 };
    let fake =
        Fake::new(&[ones(8), ones(2)], vec![(Call::Fetch, 3, Event::Revoke(back)), (Call::Fetch, 2, Event::Swap)]);
    let observed = Arc::default();
    start(&fake, Work { batch_records: 2, ..ALL_AT_ONCE }, &observed).run().unwrap();
    everything_was_done(&fake);
    let kafka = fake.kafka();
    kafka.versions.check(kafka.topics.iter().flatten());
    let active_versions: Vec<Option<u64>> = kafka.versions.journal.read(|history| {
        let done = kafka.inputs[&0].iter().map(|(offset, _)| history.term_at(0, *offset).map(|term| term.number));
        done.collect()
    });
    assert_eq!(
        active_versions.iter().filter(|active_version| active_version.is_none()).count(),
        2,
        "{active_versions:?}"
    );
}

/// The second record is the first of the version on probation, which crashes on the sick one and would not do so again.
fn with_a_probation_that_fails(is_seen_at_once: bool) -> Fake {
    let values = vec!["one", "reject", "one", "sick", "one"];
    let fake = Fake::new(&[values], vec![(Call::Fetch, 2, Event::SwapOnProbation)]);
    fake.kafka().sick = 1;
    fake.kafka().versions.is_seen_at_once = is_seen_at_once;
    let observed = Arc::default();
    start(&fake, Work { batch_records: 1, ..ALL_AT_ONCE }, &observed).run().unwrap();
    check(&fake, &observed);
    everything_was_done(&fake);
    let kafka = fake.kafka();
    let letters: Vec<String> =
        kafka.topics[2].iter().map(|letter| letter.header("mapper-host.kind").to_owned()).collect();
    drop(kafka);
    assert_eq!(letters, ["rejected"], "the crash has no dead letter: the version that is back maps the record");
    fake
}

#[test]
fn failed_probation_aborts_the_open_transaction_and_the_version_before_maps_its_records() {
    let fake = with_a_probation_that_fails(false);
    let expected = [0, 1, 2, 4, 5].map(|offset| (offset, "v0".to_owned()));
    assert_eq!(made_by(&fake), expected, "the dead letter of the withdrawn version is not written either");
    assert!(log(&fake).contains("begin, commit 1, begin, abort, rewind, begin, commit 4"), "{}", log(&fake));
}

#[test]
fn failed_probation_at_least_once_commits_visible_outputs() {
    let fake = with_a_probation_that_fails(true);
    let expected = [(0, "v0"), (1, "v1"), (2, "v1"), (4, "v0"), (5, "v0")];
    assert_eq!(made_by(&fake), expected.map(|(offset, by)| (offset, by.to_owned())));
    assert!(!log(&fake).contains("abort"), "{}", log(&fake));
}

#[test]
fn transactions_during_probation_are_small_and_as_usual_after_it() {
    let fake = Fake::new(&[ones(600)], vec![(Call::Fetch, 2, Event::SwapOnProbation)]);
    run(&fake, Work { batch_records: 20, ..ALL_AT_ONCE }).unwrap();
    everything_was_done(&fake);
    // The probation passes with the second hundred.
    assert_eq!(log(&fake), "assigned, begin, commit 20, begin, commit 100, begin, commit 480");
}
