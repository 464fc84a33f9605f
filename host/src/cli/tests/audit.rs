//! `mapper-host audit`.

use super::*;
use crate::config::AuditConfig;

const LEDGER: &[&str] = &["audit", "--brokers", "localhost:9092", "--ledger-topic", "ledger"];

fn audit(arguments: &[&[&str]]) -> AuditConfig {
    match parsed(&arguments.concat(), &[]) {
        Ok(Command::Audit(config)) => *config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn audit_has_the_topics_and_the_group_of_a_run() {
    let config = audit(&[LEDGER]);
    assert_eq!((&*config.group, &*config.ledger_topic), ("visits_reader", "ledger"));
    assert_eq!(
        (&config.output_topics[..], &*config.dead_letter_topic),
        (&["visits_reduced".to_owned()][..], "visits_dlq")
    );
    assert!(!config.provenance && !config.json && config.since_ms.is_none());
    let more = ["--extra-topic", "bots", "--provenance", "headers", "--json", "--since", "2026-01-31T08:00:00Z"];
    let config = audit(&[LEDGER, &more]);
    assert_eq!(config.output_topics, ["visits_reduced", "bots"]);
    assert_eq!((config.provenance, config.json, config.since_ms), (true, true, Some(1_769_846_400_000)));
    assert!(audit(&[LEDGER, &["--since", "2h"]]).since_ms.is_some_and(|since| since > 1_769_846_400_000));
}

#[test]
fn audit_takes_the_pipeline_of_a_file() {
    let file = file(
        "brokers = \"b:1\"\noutput-topic = \"out\"\ndead-letter-topic = \"dlq\"\nledger-topic = \"ledger\"\n\
         [[pipeline]]\nname = \"a\"\ninput-topic = \"in-a\"\n[[pipeline]]\nname = \"b\"\ninput-topic = \"in-b\"\ngroup = \"readers\"\n",
    );
    let path = file.path().to_str().unwrap();
    let of = |name| audit(&[&["audit", "--config", path, "--pipeline", name]]);
    assert_eq!((&*of("a").group, &*of("a").input_topics.to_string()), ("a", "in-a"));
    assert_eq!((&*of("b").group, &*of("b").input_topics.to_string()), ("readers", "in-b"));
    for (more, expected) in [
        (&[][..], "the file has several pipelines: give one with --pipeline NAME: a, b"),
        (&["--pipeline", "c"], "flag --pipeline: \"c\" is not in the file. Give one of: a, b"),
    ] {
        let message = wrong(&[&["audit", "--config", path], more], &[]);
        assert!(message.contains(expected), "{message}");
    }
    let message = wrong(&[LEDGER, &["--pipeline", "a"]], &[]);
    assert!(message.contains("flag --pipeline: there is no [[pipeline]] table"), "{message}");
}

#[test]
fn audit_without_brokers_ledger_or_time_is_rejected() {
    for (arguments, expected) in [
        (&["audit", "--ledger-topic", "ledger"][..], "give the brokers of the Kafka to audit with --brokers LIST"),
        (&["audit", "--brokers", "localhost:9092"], "give the ledger of the pipeline with --ledger-topic TOPIC"),
        (&[LEDGER, &["--since", "yesterday"]].concat(), "flag --since: \"yesterday\" is not allowed"),
        (&[LEDGER, &["--output-topic", "ledger"]].concat(), "flag --ledger-topic: \"ledger\" is not allowed"),
    ] {
        let message = wrong(&[arguments], &[]);
        assert!(message.contains(expected), "{message}");
    }
}
