//! An outage of what the mapper needs: no record fails, and nothing waits that is judged.

use super::*;

const UNAVAILABLE: Event = Event::Unavailable;

#[test]
fn unavailable_mapper_costs_no_record_and_is_asked_again() {
    let script = vec![(Call::Prepare, 2, UNAVAILABLE), (Call::Prepare, 3, UNAVAILABLE)];
    let fake = Fake::new(&[vec!["one", "two", "reject", "one", "skip"]], script);
    fake.kafka().portions = vec![2];
    let observed = Arc::default();
    start(&fake, ALL_AT_ONCE, &observed).run().unwrap();
    check(&fake, &observed);
    everything_was_done(&fake);
    assert_eq!(observed.outage(), (None, 2));
    assert_eq!(fake.kafka().topics[2].len(), 1, "the rejected record only");
}

#[test]
fn judged_records_are_committed_before_the_wait_and_the_rest_comes_later() {
    let fake = Fake::new(&[vec!["one"; 6]], vec![(Call::Prepare, 2, UNAVAILABLE)]);
    fake.kafka().portions = vec![3];
    let observed = Arc::default();
    let mut pipeline = start(&fake, Work { interval: Duration::from_secs(60), ..ALL_AT_ONCE }, &observed);
    while observed.outage().1 == 0 {
        assert_ne!(pipeline.step().unwrap(), StepOutcome::Finished);
    }
    pipeline.step().unwrap();
    assert_eq!(fake.kafka().topics[0].len(), 3);
    assert_eq!(committed(&fake), [(0, 3)], "offset 3 of these inputs is a gap");
    pipeline.run().unwrap();
    check(&fake, &observed);
    everything_was_done(&fake);
}

#[test]
fn waiting_worker_answers_the_group_and_gives_partitions_back() {
    for lost in [false, true] {
        let script = (2..6).map(|n| (Call::Prepare, n, UNAVAILABLE)).chain([(Call::Attend, 3, revoke(&[0, 1], lost))]);
        let fake = Fake::new(&[vec!["one", "two", "one"], vec!["one", "two"]], script.collect());
        fake.kafka().portions = vec![2];
        run(&fake, ALL_AT_ONCE).unwrap();
        everything_was_done(&fake);
        assert!(log(&fake).contains("revoked"), "{}", log(&fake));
    }
}

#[test]
fn shutdown_during_an_outage_leaves_the_waiting_records_uncommitted() {
    let mut script: Script = (1..100).map(|n| (Call::Prepare, n, UNAVAILABLE)).collect();
    script.push((Call::Attend, 9, Event::Shutdown));
    let fake = Fake::new(&[vec!["one", "two"]], script);
    run(&fake, ALL_AT_ONCE).unwrap();
    assert_eq!(committed(&fake), []);
    assert!(fake.kafka().topics.iter().all(Vec::is_empty));
}

#[test]
fn new_version_during_an_outage_maps_the_waiting_records() {
    let script = vec![(Call::Prepare, 1, UNAVAILABLE), (Call::Attend, 1, Event::Swap)];
    let fake = Fake::new(&[vec!["one", "two"]], script);
    run(&fake, ALL_AT_ONCE).unwrap();
    everything_was_done(&fake);
}
