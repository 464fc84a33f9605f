//! Rejected values, each with its message.

use super::{KAFKA, PLUGIN, run, wrong};
use crate::config::Delivery;

#[test]
fn invalid_value_is_rejected_with_the_allowed_values() {
    let cases = [
        ("--workers=0", "give a whole number from 1 to 256"),
        ("--workers=257", "give a whole number from 1 to 256"),
        ("--workers=-1", "give a whole number from 1 to 256"),
        ("--workers=two", "give a whole number from 1 to 256"),
        ("--commit-records=0", "give a whole number, 1 or more"),
        ("--batch-records=0", "give a whole number from 1 to 10000"),
        ("--batch-records=10001", "give a whole number from 1 to 10000"),
        ("--create-topics=0", "give a whole number from 1 to 10000"),
        ("--create-topics=10001", "give a whole number from 1 to 10000"),
        ("--commit-interval=0ms", "give a duration from 1ms to 1m with its unit, such as 500ms, 2s or 1m"),
        ("--commit-interval=61s", "give a duration from 1ms to 1m with its unit, such as 500ms, 2s or 1m"),
        ("--commit-interval=100", "give a duration from 1ms to 1m with its unit, such as 500ms, 2s or 1m"),
        (
            "--commit-interval=30s",
            "the broker would abort each transaction before it is committed; give less than --transaction-timeout (30s)",
        ),
        ("--record-timeout=9ms", "give a duration from 10ms to 1h with its unit, such as 500ms, 2s or 1m"),
        ("--record-timeout=61m", "give a duration from 10ms to 1h with its unit, such as 500ms, 2s or 1m"),
        ("--transaction-timeout=999ms", "give a duration from 1s to 1h with its unit, such as 500ms, 2s or 1m"),
        ("--session-timeout=999ms", "give a duration from 1s to 30m with its unit, such as 500ms, 2s or 1m"),
        ("--session-timeout=31m", "give a duration from 1s to 30m with its unit, such as 500ms, 2s or 1m"),
        (
            "--session-timeout=6m",
            "it is longer than the property max.poll.interval.ms (5m); give less, or raise that one with --kafka",
        ),
        ("--drain-timeout=2h", "give a duration from 0s to 1h with its unit, such as 500ms, 2s or 1m"),
        ("--connect-timeout=2h", "give a duration from 100ms to 1h with its unit, such as 500ms, 2s or 1m"),
        ("--commit-bytes=0", "give a size of 1 or more bytes, such as 64KiB, 16MiB or a plain number of bytes"),
        ("--memory-limit=1023KiB", "give a size from 1MiB to 4GiB, such as 64KiB, 16MiB or a plain number of bytes"),
        ("--memory-limit=5GiB", "give a size from 1MiB to 4GiB, such as 64KiB, 16MiB or a plain number of bytes"),
        ("--breaker-after=-1", "give a whole number from 0 to 4294967295"),
        ("--breaker-retry=9ms", "give a duration from 10ms to 1m with its unit, such as 500ms, 2s or 1m"),
        ("--breaker-records=drop", "give dead-letter or hold"),
        ("--dead-letter-headers=none", "give compact, connect or full"),
        ("--halt-on-error-ratio=0", "give a share above 0, up to 1, such as 0.9"),
        ("--halt-on-error-ratio=1.1", "give a share above 0, up to 1, such as 0.9"),
        (
            "--error-ratio-window=10",
            "it has no effect without --halt-on-error-ratio; give that, too, or leave this out",
        ),
        ("--delivery=exactly", "give exactly-once or at-least-once"),
        ("--log-format=xml", "give text or json"),
        (
            "--log-level=loud",
            "give one of off, error, warn, info, debug, trace, or directives such as info,kafka=debug",
        ),
        (
            "--log-level=kafka=loud",
            "give one of off, error, warn, info, debug, trace, or directives such as info,kafka=debug",
        ),
        ("--until-end=maybe", "give true or false"),
        ("--watch=yes", "give on or off"),
        ("--swap-max-regressions=-1", "give a whole number, 0 or more"),
        ("--probation=some", "give a whole number, 0 or more"),
        ("--probation-tolerance=1.1", "give a share from 0 to 1, such as 0.5"),
        ("--provenance=on", "give headers or off"),
        ("--group= ", "give a name that is not blank"),
        ("--transactional-id= ", "give a name that is not blank"),
        (
            "--input-topic=a/b",
            "a topic name is 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-', and not '.' or '..'",
        ),
        (
            "--extra-topic=..",
            "a topic name is 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-', and not '.' or '..'",
        ),
        (
            "--output-topic=visits",
            "it is also the input topic (default of --input-topic): what the host writes would come in again, without end",
        ),
        (
            "--extra-topic=visits",
            "it is also the input topic (default of --input-topic): what the host writes would come in again, without end",
        ),
        (
            "--dead-letter-topic=visits_reduced",
            "default of --output-topic names the same topic; outputs, dead letters, their states and the ledger need topics of their own, to be told apart",
        ),
        (
            "--extra-topic=visits_dlq",
            "default of --dead-letter-topic names the same topic; outputs, dead letters, their states and the ledger need topics of their own, to be \
             told apart",
        ),
        (
            "--ledger-topic=visits_dlq",
            "default of --dead-letter-topic names the same topic; outputs, dead letters, their states and the ledger need topics of their own, to be \
             told apart",
        ),
        (
            "--ledger-topic=visits",
            "it is also the input topic (default of --input-topic): what the host writes would come in again, without end",
        ),
    ];
    for (argument, allowed) in cases {
        let (flag, value) = argument.split_once('=').unwrap();
        let expected = format!("flag {flag}: {value:?} is not allowed: {allowed}");
        assert_eq!(wrong(&[KAFKA, &[argument]], &[]), expected);
    }
    for argument in ["--input-topic=visits_dlq.state", "--extra-topic=visits_dlq.state"] {
        let expected = "default of --state-topic: \"visits_dlq.state\" is not allowed: it is also an input or an output topic; the states \
            of dead letters need a topic of their own";
        assert_eq!(wrong(&[KAFKA, &[argument]], &[]), expected);
        run(&[KAFKA, &[argument, "--state-topic=states"]], &[]);
    }
    let shares = ["missing-fields", "unparseable", "duplicates", "late"];
    let cases = shares.map(|name| (name, "1.1", "give a share from 0 to 1, such as 0.5")).into_iter().chain([
        ("late", "NaN", "give a share from 0 to 1, such as 0.5"),
        ("late", "-0.1", "give a share from 0 to 1, such as 0.5"),
        ("rate", "0", "give rows per second, above 0 and up to 10000000"),
        ("count", "0", "give a whole number, 1 or more"),
        ("seed", "-1", "give a whole number, 0 or more"),
    ]);
    for (name, value, allowed) in cases {
        let arguments = ["generate", "--brokers", "k", &format!("--{name}"), value];
        assert_eq!(wrong(&[&arguments], &[]), format!("flag --{name}: {value:?} is not allowed: {allowed}"));
    }
}

#[test]
fn error_names_the_source_of_the_value() {
    let refused = |variable, value| wrong(&[KAFKA], &[(variable, value)]);
    assert_eq!(
        refused("MAPPER_WORKERS", "300"),
        "variable MAPPER_WORKERS: \"300\" is not allowed: give a whole number from 1 to 256"
    );
    assert_eq!(
        refused("MAPPER_GROUP", ""),
        "variable MAPPER_GROUP: it is empty; give it a value, or unset it for the default"
    );
    assert_eq!(wrong(&[KAFKA, &["--group", ""]], &[]), "flag --group: it is empty; give it a value");
    assert_eq!(
        wrong(&[KAFKA, &["--input-topic", "visits_dlq"]], &[]),
        "default of --dead-letter-topic: \"visits_dlq\" is not allowed: it is also the input topic (flag --input-topic): what \
         the host writes would come in again, without end"
    );
}

#[test]
fn missing_plugin_is_rejected() {
    assert_eq!(
        wrong(&[&[]], &[]),
        "give a plugin with --plugin FILE, for example --plugin plugins/reduce_visit.wasm (or MAPPER_PLUGIN, or the key plugin \
         of the file given with --config)"
    );
}

#[test]
fn settings_that_need_brokers_are_rejected_without_them() {
    let cases = [
        ("delivery", "exactly-once"),
        ("until-end", "true"),
        ("create-topics", "2"),
        ("ledger-topic", "ledger"),
        ("transactional-id", "mine"),
    ];
    for (name, value) in cases {
        let because = "is not allowed: it needs a Kafka, given with --brokers: the embedded broker of the demo has no real \
            transactions and no data of yours";
        assert_eq!(
            wrong(&[PLUGIN, &[&format!("--{name}={value}")]], &[]),
            format!("flag --{name}: {value:?} {because}")
        );
        run(&[KAFKA, &[&format!("--{name}={value}")]], &[]);
    }
    assert_eq!(
        run(&[PLUGIN, &["--delivery", "at-least-once", "--until-end=false"]], &[]).delivery,
        Delivery::AtLeastOnce
    );
    assert!(run(&[KAFKA, &["--until-end"]], &[]).until_end);
}

#[test]
fn brokers() {
    for good in ["k", "k:9092", "a:1,b:2", "[::1]:9092", "10.0.0.1:9092"] {
        assert_eq!(run(&[PLUGIN, &["--brokers", good]], &[]).brokers.as_deref(), Some(good));
    }
    let other_protocol = ["--brokers", "SASL_SSL://k:9092"];
    let protocol = ["--kafka", "security.protocol=sasl_ssl"];
    assert_eq!(run(&[PLUGIN, &other_protocol, &protocol], &[]).brokers.as_deref(), Some("SASL_SSL://k:9092"));
    // librdkafka ignores an address of another protocol, so there would be no broker.
    for command in [PLUGIN, &["generate"]] {
        let message = wrong(&[command, &other_protocol], &[]);
        assert!(message.contains("give --kafka security.protocol=sasl_ssl"), "{message}");
    }
    let message = wrong(&[PLUGIN, &["--brokers", "kafka://k:9092"]], &[]);
    assert!(message.contains("not a URL; give 'k:9092'"), "{message}");
    for bad in ["k:", "k:0", "k:70000", "k:x", ":9092", "a:1,,b:2", "a b", "a:1,"] {
        assert_eq!(
            wrong(&[PLUGIN, &["--brokers", bad]], &[]),
            format!("flag --brokers: {bad:?} is not allowed: give a list such as kafka-1:9092,kafka-2:9092")
        );
    }
}

#[test]
fn properties_of_the_host_are_rejected_with_the_setting() {
    let cases = [
        ("bootstrap.servers", "--brokers"),
        ("metadata.broker.list", "--brokers"),
        ("group.id", "--group"),
        ("transactional.id", "--transactional-id"),
        ("transaction.timeout.ms", "--transaction-timeout"),
        ("session.timeout.ms", "--session-timeout"),
        ("isolation.level", "read_committed: exactly-once depends on it"),
        ("enable.auto.commit", "--commit-interval"),
        ("auto.commit.interval.ms", "--commit-interval"),
        ("enable.auto.offset.store", "outputs are written"),
        ("offset.store.method", "kept in Kafka"),
        ("enable.partition.eof", "--until-end"),
        ("enable.idempotence", "twice or out of order"),
        ("enable.gapless.guarantee", "sent again"),
        ("acks", "could be lost"),
        ("request.required.acks", "could be lost"),
        ("topic.acks", "could be lost"),
        ("max.in.flight", "order of records"),
        ("max.in.flight.requests.per.connection", "order of records"),
        ("retries", "an outage is waited for"),
        ("queuing.strategy", "keep their order"),
        ("delivery.report.only.error", "delivery reports"),
        ("group.instance.id", "fence each other"),
        ("group.protocol.type", "the host consumes"),
        ("allow.auto.create.topics", "--create-topics PARTITIONS"),
        ("log.queue", "--log-level"),
        ("enabled_events", "client library"),
        ("test.mock.num.brokers", "embedded broker"),
    ];
    for (key, part) in cases {
        let message = wrong(&[KAFKA, &["--kafka", &format!("{key}=1")]], &[]);
        assert!(message.starts_with(&format!("flag --kafka: {key} belongs to the host: ")), "{message}");
        assert!(message.contains(part), "{message}");
    }
    let message = wrong(&[&["generate", "--brokers", "k"]], &[("MAPPER_KAFKA", "linger.ms=5;acks=1")]);
    assert!(message.starts_with("variable MAPPER_KAFKA: acks belongs to the host: "), "{message}");
    let theirs = [
        "auto.offset.reset=latest",
        "partition.assignment.strategy=range",
        "group.protocol=classic",
        "group.protocol=consumer",
        "security.protocol=sasl_ssl",
        "sasl.password=a=b=c",
        "topic.metadata.refresh.interval.ms=1000",
        "compression.type=zstd",
    ];
    for pair in theirs {
        let config = run(&[KAFKA, &["--kafka", pair]], &[]);
        assert_eq!(pair.split_once('='), config.kafka.first().map(|(key, value)| (key.as_str(), value.as_str())));
    }
}

#[test]
fn invalid_or_conflicting_pair_is_rejected() {
    for pair in ["linger.ms", "=5"] {
        assert_eq!(wrong(&[KAFKA, &["--kafka", pair]], &[]), "flag --kafka: entry 1 is not KEY=VALUE");
    }
    assert_eq!(wrong(&[KAFKA, &["--set", "a=1", "--set", "a=2"]], &[]), "flag --set: a is given twice");
    assert_eq!(
        wrong(&[KAFKA, &["--session-timeout", "10s", "--kafka", "group.protocol=consumer"]], &[]),
        "flag --session-timeout: \"10s\" is not allowed: with the property group.protocol=consumer the broker decides \
         (group.consumer.session.timeout.ms); leave it out"
    );
    let longer = run(&[KAFKA, &["--session-timeout", "6m", "--kafka", "max.poll.interval.ms=600000"]], &[]);
    assert_eq!(longer.session_timeout.as_secs(), 360);
}
