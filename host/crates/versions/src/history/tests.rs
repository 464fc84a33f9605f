//! The model of the history: who spoke where, whatever order things happen in.

use proptest::prelude::*;

use super::*;

fn version(digest: &str) -> Version {
    Version { name: "reduce".into(), version: "1.0.0".into(), digest: digest.into() }
}

fn begin(history: &mut History, digest: &str, by: By) -> u64 {
    let (number, version) = (history.next_number(), version(digest));
    let before = history.before(&version, by);
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

fn speaker(history: &History, partition: i32, offset: i64) -> Option<&str> {
    history.term_at(partition, offset).map(|term| term.version.digest.as_str())
}

#[test]
fn each_offset_has_one_speaker() {
    let mut history = History::default();
    let a = begin(&mut history, "a", By::Start);
    from(&mut history, a, 0, 10);
    let b = begin(&mut history, "b", By::Http);
    to(&mut history, a, 0, 20);
    from(&mut history, b, 0, 20);
    // A partition that another worker had not swapped yet.
    from(&mut history, a, 1, 5);
    to(&mut history, a, 1, 7);
    from(&mut history, b, 1, 7);
    let said: Vec<_> = [(0, 9), (0, 10), (0, 19), (0, 20), (0, 1000), (1, 5), (1, 6), (1, 7), (2, 0)]
        .map(|(partition, offset)| speaker(&history, partition, offset))
        .into();
    let (a, b) = (Some("a"), Some("b"));
    assert_eq!(said, [None, a, a, b, b, a, a, b, None]);
}

#[test]
fn after_a_crash_the_next_one_has_spoken() {
    let mut history = History::default();
    let a = begin(&mut history, "a", By::Start);
    from(&mut history, a, 0, 0);
    // Killed at a boundary: b never committed anything, and the restart with a begins at the same offset.
    let b = begin(&mut history, "b", By::File);
    to(&mut history, a, 0, 50);
    from(&mut history, b, 0, 50);
    let again = begin(&mut history, "a", By::Start);
    from(&mut history, again, 0, 50);
    assert_eq!((speaker(&history, 0, 49), speaker(&history, 0, 50)), (Some("a"), Some("a")));
    assert_eq!(history.spans(b).next().unwrap().1.to, Some(50));
}

#[test]
fn a_partition_that_was_elsewhere_leaves_a_gap() {
    let mut history = History::default();
    let a = begin(&mut history, "a", By::Start);
    from(&mut history, a, 0, 0);
    to(&mut history, a, 0, 10);
    from(&mut history, a, 0, 30);
    assert_eq!([9, 10, 29, 30].map(|offset| speaker(&history, 0, offset).is_some()), [true, false, false, true]);
    // One that comes back with nothing done in between is one span.
    to(&mut history, a, 0, 40);
    from(&mut history, a, 0, 40);
    assert_eq!(history.spans(a).count(), 2);
}

#[test]
fn rollbacks_go_back_and_never_in_circles() {
    let mut history = History::default();
    begin(&mut history, "a", By::Start);
    begin(&mut history, "b", By::File);
    begin(&mut history, "c", By::Http);
    assert_eq!(history.last().unwrap().before.as_deref(), Some("b"));
    begin(&mut history, "b", By::Rollback);
    assert_eq!(history.last().unwrap().before.as_deref(), Some("a"));
    begin(&mut history, "a", By::Probation);
    assert_eq!(history.last().unwrap().before, None);
    // A restart with the same file keeps the way back.
    begin(&mut history, "d", By::Http);
    begin(&mut history, "d", By::Start);
    assert_eq!(history.last().unwrap().before.as_deref(), Some("a"));
}

#[test]
fn the_oldest_terms_and_spans_are_forgotten() {
    let mut history = History::default();
    for index in 0..KEPT_TERMS + 20 {
        let term = begin(&mut history, &index.to_string(), By::Http);
        from(&mut history, term, 0, index as i64);
    }
    assert_eq!(history.terms().count(), KEPT_TERMS);
    assert_eq!((speaker(&history, 0, 19), speaker(&history, 0, 20)), (None, Some("20")));
    let term = history.last().unwrap().number;
    for round in 0..2 * KEPT_SPANS as i64 {
        from(&mut history, term, 1, round * 10);
        to(&mut history, term, 1, round * 10 + 5);
    }
    assert_eq!(history.spans(term).filter(|(partition, _)| *partition == 1).count(), KEPT_SPANS);
}

proptest! {
    /// However spans come and go, of those that cover an offset the last one speaks; and a snapshot says the same.
    #[test]
    fn the_last_that_covers_an_offset_speaks(steps in prop::collection::vec((0..3_u8, 0..20_i64), 1..60)) {
        let mut history = History::default();
        let mut term = begin(&mut history, "0", By::Start);
        let mut speakers: Vec<Option<String>> = vec![None; 200];
        let (mut open, mut at) = (None, 0);
        for (step, length) in steps {
            match step {
                0 => term = begin(&mut history, &term.to_string(), By::Http),
                1 if open.is_none() => {
                    from(&mut history, term, 0, at);
                    open = Some(term);
                }
                _ => {
                    let Some(speaking) = open.take() else { continue };
                    let end = (at + length).min(200);
                    let digest = &history.term(speaking).unwrap().version.digest;
                    (at..end).for_each(|offset| speakers[offset as usize] = Some(digest.clone()));
                    at = end;
                    to(&mut history, speaking, 0, at);
                }
            }
        }
        if let Some(speaking) = open {
            let digest = &history.term(speaking).unwrap().version.digest;
            (at..200).for_each(|offset| speakers[offset as usize] = Some(digest.clone()));
        }
        let text = serde_json::to_string(&Event::Snapshot(history.clone())).unwrap();
        let mut copy = History::default();
        copy.apply(serde_json::from_str(&text).unwrap());
        for offset in 0..200 {
            prop_assert_eq!(speaker(&history, 0, offset), speakers[offset as usize].as_deref());
            prop_assert_eq!(speaker(&copy, 0, offset), speakers[offset as usize].as_deref());
        }
    }
}
