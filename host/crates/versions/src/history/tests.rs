//! The history names the version of each offset, for any order of events.

use proptest::prelude::*;

use super::*;

fn version(digest: &str) -> Version {
    Version { name: "reduce".into(), version: "1.0.0".into(), digest: digest.into() }
}

fn begin(history: &mut History, digest: &str, by: Trigger) -> u64 {
    let (number, version) = (history.next_number(), version(digest));
    let before = history.rollback_target(&version, by);
    let term = Term {
        number,
        version,
        since: String::new(),
        by,
        forced: false,
        before,
        probation_failure: None,
        tally: Tally::default(),
        recreations: VecDeque::new(),
    };
    history.apply(Event::Term(term));
    number
}

fn from(history: &mut History, term: u64, partition: i32, offset: i64) {
    history.apply(Event::From { term, offsets: [(partition, offset)].into() });
}

fn to(history: &mut History, term: u64, partition: i32, offset: i64) {
    history.apply(Event::To { term, offsets: [(partition, offset)].into() });
}

fn digest_at(history: &History, partition: i32, offset: i64) -> Option<&str> {
    history.term_at(partition, offset).map(|term| term.version.digest.as_str())
}

#[test]
fn offset_belongs_to_the_version_of_its_span() {
    let mut history = History::default();
    let a = begin(&mut history, "a", Trigger::Start);
    from(&mut history, a, 0, 10);
    let b = begin(&mut history, "b", Trigger::Http);
    to(&mut history, a, 0, 20);
    from(&mut history, b, 0, 20);
    // Another worker still has the old version for this partition.
    from(&mut history, a, 1, 5);
    to(&mut history, a, 1, 7);
    from(&mut history, b, 1, 7);
    let digests: Vec<_> = [(0, 9), (0, 10), (0, 19), (0, 20), (0, 1000), (1, 5), (1, 6), (1, 7), (2, 0)]
        .map(|(partition, offset)| digest_at(&history, partition, offset))
        .into();
    let (a, b) = (Some("a"), Some("b"));
    assert_eq!(digests, [None, a, a, b, b, a, a, b, None]);
}

#[test]
fn offset_after_a_crash_belongs_to_the_next_version() {
    let mut history = History::default();
    let a = begin(&mut history, "a", Trigger::Start);
    from(&mut history, a, 0, 0);
    // The host is killed between two transactions: b commits nothing, and a restarts at the same offset.
    let b = begin(&mut history, "b", Trigger::File);
    to(&mut history, a, 0, 50);
    from(&mut history, b, 0, 50);
    let again = begin(&mut history, "a", Trigger::Start);
    from(&mut history, again, 0, 50);
    assert_eq!((digest_at(&history, 0, 49), digest_at(&history, 0, 50)), (Some("a"), Some("a")));
    assert_eq!(history.spans(b).next().unwrap().1.to, Some(50));
}

#[test]
fn partition_of_another_host_leaves_a_gap() {
    let mut history = History::default();
    let a = begin(&mut history, "a", Trigger::Start);
    from(&mut history, a, 0, 0);
    to(&mut history, a, 0, 10);
    from(&mut history, a, 0, 30);
    assert_eq!([9, 10, 29, 30].map(|offset| digest_at(&history, 0, offset).is_some()), [true, false, false, true]);
    // A partition that returns at the same offset continues its span.
    to(&mut history, a, 0, 40);
    from(&mut history, a, 0, 40);
    assert_eq!(history.spans(a).count(), 2);
}

#[test]
fn rollback_target_never_repeats_a_version() {
    let mut history = History::default();
    begin(&mut history, "a", Trigger::Start);
    begin(&mut history, "b", Trigger::File);
    begin(&mut history, "c", Trigger::Http);
    assert_eq!(history.last().unwrap().before.as_deref(), Some("b"));
    begin(&mut history, "b", Trigger::Rollback);
    assert_eq!(history.last().unwrap().before.as_deref(), Some("a"));
    begin(&mut history, "a", Trigger::Probation);
    assert_eq!(history.last().unwrap().before, None);
    // A restart with the same file keeps the rollback target.
    begin(&mut history, "d", Trigger::Http);
    begin(&mut history, "d", Trigger::Start);
    assert_eq!(history.last().unwrap().before.as_deref(), Some("a"));
}

#[test]
fn oldest_terms_and_spans_are_dropped() {
    let mut history = History::default();
    for index in 0..KEPT_TERMS + 20 {
        let term = begin(&mut history, &index.to_string(), Trigger::Http);
        from(&mut history, term, 0, index as i64);
    }
    assert_eq!(history.terms().count(), KEPT_TERMS);
    assert_eq!((digest_at(&history, 0, 19), digest_at(&history, 0, 20)), (None, Some("20")));
    let term = history.last().unwrap().number;
    for round in 0..2 * KEPT_SPANS as i64 {
        from(&mut history, term, 1, round * 10);
        to(&mut history, term, 1, round * 10 + 5);
    }
    assert_eq!(history.spans(term).filter(|(partition, _)| *partition == 1).count(), KEPT_SPANS);
}

proptest! {
    /// The last span that contains an offset is valid, also after a snapshot.
    #[test]
    fn offset_belongs_to_the_last_span_that_contains_it(steps in prop::collection::vec((0..3_u8, 0..20_i64), 1..60)) {
        let mut history = History::default();
        let mut term = begin(&mut history, "0", Trigger::Start);
        let mut digests: Vec<Option<String>> = vec![None; 200];
        let (mut open, mut at) = (None, 0);
        for (step, length) in steps {
            match step {
                0 => term = begin(&mut history, &term.to_string(), Trigger::Http),
                1 if open.is_none() => {
                    from(&mut history, term, 0, at);
                    open = Some(term);
                }
                _ => {
                    let Some(active) = open.take() else { continue };
                    let end = (at + length).min(200);
                    let digest = &history.term(active).unwrap().version.digest;
                    (at..end).for_each(|offset| digests[offset as usize] = Some(digest.clone()));
                    at = end;
                    to(&mut history, active, 0, at);
                }
            }
        }
        if let Some(active) = open {
            let digest = &history.term(active).unwrap().version.digest;
            (at..200).for_each(|offset| digests[offset as usize] = Some(digest.clone()));
        }
        let text = serde_json::to_string(&Event::Snapshot(history.clone())).unwrap();
        let mut copy = History::default();
        copy.apply(serde_json::from_str(&text).unwrap());
        for offset in 0..200 {
            prop_assert_eq!(digest_at(&history, 0, offset), digests[offset as usize].as_deref());
            prop_assert_eq!(digest_at(&copy, 0, offset), digests[offset as usize].as_deref());
        }
    }
}
