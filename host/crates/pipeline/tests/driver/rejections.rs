//! What the broker rejects becomes a dead letter, at the cost of few aborts; and a dead letter can always be written.

use super::*;
use mapper_core::decision::TimestampLimits;
use mapper_core::record::NO_TIMESTAMP;

/// The interval after which the topic limits are read again.
const LONG_AGO: Duration = Duration::from_secs(60);

fn needs_key() -> TopicLimits {
    TopicLimits { needs_key: true, ..TopicLimits::default() }
}

/// Accepts timestamps of the last minute, which no input has.
fn recent(after_max_ms: i64) -> TopicLimits {
    TopicLimits { timestamps: Some(TimestampLimits { before_max_ms: 60_000, after_max_ms }), ..TopicLimits::default() }
}

fn aborts(fake: &Fake) -> usize {
    fake.kafka().log.iter().filter(|line| *line == "abort").count()
}

/// Some hundred records; these have no key.
fn keyless_at(offsets: &[usize]) -> Fake {
    let mut values = ones(500);
    offsets.iter().for_each(|at| values[*at] = "keyless");
    let fake = Fake::new(&[values], vec![]);
    fake.kafka().limits[0] = needs_key();
    fake
}

#[test]
fn rejected_output_becomes_a_dead_letter_and_no_other() {
    for bad in ["bad@send", "bad@commit"] {
        let mut values = ones(20);
        values[13] = bad;
        let fake = Fake::new(&[values, ones(5)], vec![]);
        run(&fake, ALL_AT_ONCE).unwrap();
        everything_was_done(&fake);
        let kafka = fake.kafka();
        let [letter] = &kafka.topics[2][..] else { panic!("{:?}", kafka.topics[2]) };
        assert_eq!((letter.of, &letter.key), ((0, 17), &Some(b"0:17".to_vec())), "{bad}");
        assert_eq!(letter.header("mapper-host.cut"), "");
        assert_eq!(kafka.topics[0].len(), 24);
    }
}

#[test]
fn rejected_dead_letter_is_written_shorter() {
    let fake = Fake::new(&[vec!["one", "refuse@send", "one"]], vec![]);
    run(&fake, ALL_AT_ONCE).unwrap();
    everything_was_done(&fake);
    let kafka = fake.kafka();
    let [letter] = &kafka.topics[2][..] else { panic!("{:?}", kafka.topics[2]) };
    let key = Some(b"visits-0-1".to_vec());
    assert_eq!((letter.of, &letter.key), ((0, 1), &key));
    assert_eq!(letter.header("mapper-host.key"), "generated");
    assert_eq!(letter.header("mapper-host.cut"), "input_json, headers and key");
}

#[test]
fn dead_letter_rejected_in_every_form_halts_before_its_record() {
    let fake = Fake::new(&[vec!["one", "one", "refuse@commit", "one"]], vec![]);
    fake.kafka().refused_kind = Some(FailureKind::Undeliverable);
    let halt = run(&fake, ALL_AT_ONCE).unwrap_err();
    assert!(halt.reason().contains("dead-letter topic 'dlq' refuses"), "{halt}");
    assert!(halt.reason().contains("partition 0, offset 2"), "{halt}");
    assert_eq!(committed(&fake), [(0, 2)]);
}

#[test]
fn rejected_records_that_are_named_cost_one_abort() {
    let fake = keyless_at(&[3, 77, 78, 250, 499]);
    fake.kafka().names_rejected = true;
    run(&fake, ALL_AT_ONCE).unwrap();
    everything_was_done(&fake);
    assert_eq!(aborts(&fake), 1, "{}", log(&fake));
    let kafka = fake.kafka();
    assert_eq!((kafka.topics[0].len(), kafka.topics[2].len()), (495, 5));
    let reasons = kafka.topics[2].iter().map(|letter| letter.header("__connect.errors.exception.message"));
    assert!(reasons.into_iter().all(|reason| reason == "not in my topic"), "the broker's reason");
}

#[test]
fn rejected_record_that_is_not_named_is_found_by_bisecting() {
    let fake = keyless_at(&[250]);
    run(&fake, ALL_AT_ONCE).unwrap();
    everything_was_done(&fake);
    assert!(aborts(&fake) <= 11, "{}", log(&fake));
    assert_eq!(fake.kafka().topics[2].len(), 1);
}

#[test]
fn topic_limits_after_a_rejection_are_read_and_respected() {
    let fake = keyless_at(&[3, 250, 400]);
    fake.kafka().reports_limits = true;
    let mut pipeline = start(&fake, ALL_AT_ONCE, &Arc::default());
    fake.kafka().clock.advance(LONG_AGO);
    pipeline.run().unwrap();
    everything_was_done(&fake);
    assert_eq!(aborts(&fake), 1, "{}", log(&fake));
    let kafka = fake.kafka();
    assert_eq!(kafka.topics[2].len(), 3);
    for letter in &kafka.topics[2] {
        assert!(letter.header("__connect.errors.exception.message").contains("cleanup.policy"), "{letter:?}");
    }
}

#[test]
fn raised_topic_limit_is_read_before_a_record_becomes_a_dead_letter() {
    let fake = keyless_at(&[3]);
    fake.kafka().limits[0] = TopicLimits::default();
    fake.kafka().reports_limits = true;
    let strict = |_| Some(needs_key());
    let routes = routes().with_limits((0..2).map(strict));
    let mut pipeline = start_with(&fake, ALL_AT_ONCE, &Arc::default(), routes);
    fake.kafka().clock.advance(LONG_AGO);
    pipeline.run().unwrap();
    everything_was_done(&fake);
    let kafka = fake.kafka();
    assert_eq!((kafka.topics[0].len(), kafka.topics[2].len()), (500, 0));
}

#[test]
fn output_with_a_rejected_timestamp_becomes_a_dead_letter_with_that_timestamp() {
    for (reports_limits, names_rejected) in [(true, false), (false, true), (false, false)] {
        let fake = Fake::new(&[ones(7)], vec![]);
        fake.kafka().limits[0] = recent(0);
        (fake.kafka().reports_limits, fake.kafka().names_rejected) = (reports_limits, names_rejected);
        run(&fake, ALL_AT_ONCE).unwrap();
        everything_was_done(&fake);
        let kafka = fake.kafka();
        assert_eq!(kafka.topics[2].len(), 7);
        assert!(kafka.topics[2].iter().all(|letter| letter.timestamp_ms == Some(1000 + letter.of.1)));
    }
}

#[test]
fn dead_letter_is_written_whatever_timestamps_its_topic_takes() {
    // The clock of a broker may differ so much that it rejects the present time, too.
    for (limits, expected_timestamp) in [(recent(0), None), (recent(-3_600_000), Some(NO_TIMESTAMP))] {
        for reports_limits in [false, true] {
            let fake = Fake::new(&[vec!["one", "reject", "one", "reject"]], vec![]);
            fake.kafka().limits[2] = limits.clone();
            (fake.kafka().reports_limits, fake.kafka().names_rejected) = (reports_limits, true);
            let mut pipeline = start(&fake, ALL_AT_ONCE, &Arc::default());
            fake.kafka().clock.advance(LONG_AGO);
            pipeline.run().unwrap();
            everything_was_done(&fake);
            let kafka = fake.kafka();
            assert_eq!(kafka.topics[2].len(), 2);
            for letter in &kafka.topics[2] {
                assert_eq!(letter.header("mapper-host.source.timestamp-ms"), (1000 + letter.of.1).to_string());
                assert_eq!(letter.header("mapper-host.cut"), "");
                assert_eq!(letter.timestamp_ms, expected_timestamp);
            }
        }
    }
}

#[test]
fn dead_letter_without_a_key_gets_one_for_a_compacted_topic() {
    for reports_limits in [false, true] {
        let fake = keyless_at(&[3, 4]);
        fake.kafka().limits[2] = needs_key();
        (fake.kafka().reports_limits, fake.kafka().names_rejected) = (reports_limits, true);
        run(&fake, ALL_AT_ONCE).unwrap();
        everything_was_done(&fake);
        assert!(aborts(&fake) <= 2, "{}", log(&fake));
        let kafka = fake.kafka();
        let keys = kafka.topics[2].iter().map(|letter| letter.key.clone().unwrap_or_default());
        assert_eq!(keys.collect::<Vec<_>>(), [b"visits-0-4".to_vec(), b"visits-0-5".to_vec()]);
        assert!(kafka.topics[2].iter().all(|letter| letter.header("mapper-host.key") == "generated"));
        assert!(kafka.topics[2].iter().all(|letter| letter.header("mapper-host.cut").is_empty()));
    }
}

#[test]
fn dead_letter_that_never_fits_halts_before_its_record() {
    let fake = Fake::new(&[vec!["one", "reject"]], vec![]);
    fake.kafka().limits[2] = TopicLimits { max_record_bytes: 60, ..TopicLimits::default() };
    let mut pipeline = start(&fake, ALL_AT_ONCE, &Arc::default());
    let ended = pipeline.run();
    // No record fits into that topic.
    assert!(ended.unwrap_err().reason().contains("offset 1"));
    assert_eq!(committed(&fake), [(0, 1)]);
}
