//! Files with `[[pipeline]]` tables: the resulting pipelines, and all errors.

use super::{Command, file, parsed, run_config, wrong};
use crate::config::{CheckFileConfig, Delivery, DlqCommand, HistoryPlace, MemoryBound, RedriveTarget, VersionChoice};

/// Two pipelines, with defaults for both.
const TWO: &str = r#"
brokers = "k:9092"
workers = 3
log-level = "warn"
[kafka]
"client.id" = "all"
"linger.ms" = 1
[[pipeline]]
name = "a"
plugin = "a.wasm"
input-topic = "in-a"
output-topic = "out-a"
dead-letter-topic = "dlq-a"
workers = 1
kafka = { "linger.ms" = 7 }
set = { key = "value" }
[[pipeline]]
name = "b"
plugin = "b.wasm"
group = "readers"
input-topic = "in-b"
output-topic = "out-b"
extra-topic = ["extra"]
dead-letter-topic = "dlq-b"
delivery = "at-least-once"
ledger-topic = "ledger-b"
"#;

fn checked(text: &str, more: &[&str]) -> CheckFileConfig {
    let file = file(text);
    let path = file.path().to_str().unwrap();
    match parsed(&[&["check", "--config", path], more].concat(), &[]) {
        Ok(Command::CheckFile(checked)) => *checked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_above_the_tables_are_defaults_and_keys_of_a_table_override_them() {
    let file = file(TWO);
    let arguments: &[&str] = &["--config", file.path().to_str().unwrap()];
    let config = run_config(&[arguments], &[]);
    assert_eq!((config.file.as_deref(), config.fail_fast, &*config.log.filter), (Some(file.path()), false, "warn"));
    let [a, b] = &config.pipelines[..] else { panic!("{config:?}") };
    assert_eq!([&*a.name, &*a.group, &*a.input_topics.to_string(), &*a.output_topic], ["a", "a", "in-a", "out-a"]);
    assert_eq!((a.workers, a.delivery, a.set.len()), (1, Delivery::ExactlyOnce, 1));
    assert_eq!(
        [&*b.name, &*b.group, &*b.input_topics.to_string(), &*b.dead_letter_topic],
        ["b", "readers", "in-b", "dlq-b"]
    );
    assert_eq!((b.workers, b.delivery, &b.extra_topics[..]), (3, Delivery::AtLeastOnce, &["extra".to_owned()][..]));
    assert_eq!([&a.ledger_topic, &b.ledger_topic], [&None, &Some("ledger-b".to_owned())]);
    assert_eq!(b.written_topics(), ["out-b", "extra", "dlq-b", "ledger-b"]);
    let linger = |pairs: &[(String, String)]| {
        super::pairs(pairs).iter().map(|(_, value)| (*value).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!([linger(&a.kafka), linger(&b.kafka)], [vec!["all", "7"], vec!["all", "1"]]);
    // A flag, or a variable, is a default of all pipelines.
    let config = run_config(&[arguments, &["--workers", "5", "--fail-fast"]], &[("MAPPER_GROUP", "g")]);
    let found: Vec<_> = config.pipelines.iter().map(|spec| (spec.workers, &*spec.group)).collect();
    assert_eq!((found, config.fail_fast), (vec![(1, "g"), (5, "readers")], true));
}

#[test]
fn every_error_names_its_pipeline_its_key_and_the_fix() {
    let text = r#"
brokers = "k:9092"
wokers = 2
admin = "nowhere"
[[pipeline]]
name = "a"
plugin = "a.wasm"
input-topic = "in"
output-topic = "in"
dead-letter-topic = "dlq-a"
workers = 0
commit-interval = 5
state-dir = "s"
"linger.ms" = 1
[[pipeline]]
name = "a"
plugin = "a.wasm"
input-topic = "in"
output-topic = "out"
dead-letter-topic = "dlq"
group = "a"
kafka = { "group.id" = "x" }
probation-tolerence = 0.5
[[pipeline]]
name = "no/slash"
input-topic = "in c"
[[pipeline]]
plugin = "d.wasm"
input-topic = "in"
output-topic = "out"
dead-letter-topic = "dlq"
group = "a"
"#;
    let found = checked(text, &[]);
    let expected = [
        "key wokers: there is no such setting; did you mean workers?",
        "pipeline a, key state-dir: it is a setting of the process, not of a pipeline. Put it above the tables",
        "pipeline a, key commit-interval: it must be a string with a unit",
        "pipeline a, key linger.ms: there is no such setting",
        "pipeline a, key probation-tolerence: there is no such setting; did you mean probation-tolerance?",
        "key admin: \"nowhere\" is not allowed",
        "pipeline a, key output-topic: \"in\" is not allowed: it is also the input topic",
        "pipeline a, key workers: \"0\" is not allowed: give a whole number from 1 to 256",
        "pipeline a, key name: another pipeline above has this name",
        "pipeline a, key kafka: group.id belongs to the host",
        "pipeline no/slash, key name: \"no/slash\" is not allowed: give 1 to 100 of the characters",
        "pipeline no/slash, key plugin: it is missing. Give it, as plugin = \"plugins/reduce_visit.wasm\"",
        "pipeline no/slash, key output-topic: it is missing",
        "pipeline no/slash, key dead-letter-topic: it is missing",
        "pipeline no/slash, key input-topic: \"in c\" is not allowed",
        "pipeline 4, key name: it is missing. Give the pipeline a name",
        "pipeline 4, key group: \"a\" is not allowed: pipeline a reads the topic 'in' in the same group",
    ];
    for expected in expected {
        let count = found.mistakes.iter().filter(|mistake| mistake.contains(expected)).count();
        assert_eq!(count, 1, "{expected}: {:#?}", found.mistakes);
    }
    // The second pipeline `a` also has the group and the topic of the first one.
    assert_eq!(found.mistakes.len(), expected.len() + 1, "{:#?}", found.mistakes);
    // `run` reports all errors, and starts nothing.
    let file = file(text);
    let message = wrong(&[&["run", "--config", file.path().to_str().unwrap()]], &[]);
    assert!(message.contains("has 18 mistakes:\n- ") && message.matches("\n- ").count() == 18, "{message}");
}

#[test]
fn valid_file_with_or_without_tables_has_no_errors() {
    let found = checked(TWO, &[]);
    assert_eq!((found.mistakes, found.pipelines.len(), found.asks_kafka), (vec![], 2, false));
    let asked = checked(TWO, &["--brokers", "other:1", "--json"]);
    assert!(asked.asks_kafka && asked.json);
    assert!(asked.pipelines.iter().all(|spec| spec.brokers.as_deref() == Some("other:1")));
    let flat = checked("plugin = \"p.wasm\"\nworkers = 1\n", &[]);
    assert_eq!((flat.mistakes, flat.pipelines.len()), (vec![], 1));
    assert_eq!(checked("plugin = \"p.wasm\"\nworkers = 0\n", &[]).mistakes.len(), 1);
}

#[test]
fn unknown_tables_and_shared_transactional_ids_are_rejected() {
    for (text, expected) in [
        ("pipeline = 1", "key pipeline: it must be a list of tables"),
        ("pipeline = [1]", "key pipeline: it must be a list of tables"),
        ("[pipeline]\nname = \"a\"", "key pipeline: it must be a list of tables"),
        ("[[pipeline]]\nname = 1", "pipeline 1, key name: it must be a string"),
        ("[[pipeline]]\nname = \"a\"\nconfig = \"x\"", "pipeline a, key config: it is a setting of the process"),
        (
            &TWO.replace("workers = 3", "transactional-id = \"t\""),
            "pipeline b, key transactional-id: \"t\" is not allowed",
        ),
        (&TWO.replace("brokers", "#"), "pipeline a, key brokers: it is missing"),
    ] {
        let found = checked(text, &[]);
        assert!(found.mistakes.iter().any(|mistake| mistake.contains(expected)), "{expected}: {found:#?}");
    }
}

#[test]
fn limits_above_the_memory_budget_are_rejected_with_the_sum() {
    let with =
        |budget: &str| checked(&TWO.replace("workers = 1", &format!("workers = 1\nmemory-budget = \"{budget}\"")), &[]);
    let spec = &checked(TWO, &[]).pipelines[0];
    let bound = MemoryBound::of(spec);
    // One worker: two instances, those of a try-out and a shadow, a batch, outputs of a call, and the default buffers.
    assert_eq!(bound.instances, 4 * spec.limits.memory_bytes as u64);
    assert_eq!((bound.records, bound.output_buffers), ((1 << 20) + spec.limits.output_bytes as u64, 8 << 20));
    assert_eq!(bound.input_buffers, 16 << 20);
    assert_eq!(with(&bound.total().to_string()).mistakes, Vec::<String>::new());
    let mistakes = with(&(bound.total() - 1).to_string()).mistakes;
    assert!(mistakes.len() == 1 && mistakes[0].contains("pipeline a, key memory-budget: "), "{mistakes:?}");
    assert!(mistakes[0].contains("instances + ") && mistakes[0].contains("--workers"), "{mistakes:?}");
    let buffers = |kafka: &str| {
        let text = TWO.replace("\"linger.ms\" = 7", &format!("\"linger.ms\" = 7, {kafka}"));
        let bound = MemoryBound::of(&checked(&text, &[]).pipelines[0]);
        (bound.input_buffers, bound.output_buffers)
    };
    assert_eq!(
        buffers("\"queued.max.messages.kbytes\" = 1024, \"queue.buffering.max.kbytes\" = 64"),
        (9 << 20, 64 << 10)
    );
}

#[test]
fn pipeline_argument_of_a_remote_command_is_a_valid_name() {
    match parsed(&["status", "--pipeline", "a.b-1"], &[]) {
        Ok(Command::Remote(config)) => assert_eq!(config.pipeline.as_deref(), Some("a.b-1")),
        other => panic!("{other:?}"),
    }
    for name in ["", "../b", "a/b", ".a", "ä"] {
        assert!(wrong(&[&["history", "--pipeline", name]], &[]).contains("flag --pipeline: "), "{name}");
    }
}

#[test]
fn redrive_of_a_table_has_the_topics_and_the_group_of_its_pipeline() {
    let file = file(TWO);
    let path = file.path().to_str().unwrap();
    for (pipeline, dead_letters, output, group) in [("a", "dlq-a", "out-a", "a"), ("b", "dlq-b", "out-b", "readers")] {
        let arguments = ["dlq", "redrive", "--config", path, "--pipeline", pipeline];
        let Ok(Command::Dlq(config)) = parsed(&arguments, &[]) else { panic!("{pipeline}") };
        let DlqCommand::Redrive { config: redrive, .. } = config.command else { panic!("{pipeline}") };
        assert_eq!((&*config.topics.dead_letters, &*redrive.outputs[0]), (dead_letters, output));
        // As in the ledger records of the host, which an audit compares.
        assert_eq!(redrive.consumer_group, group);
    }
    let several = wrong(&[&["dlq", "groups", "--config", path]], &[]);
    assert!(several.contains("--pipeline NAME: a, b"), "{several}");
}

#[test]
fn version_of_a_redrive_is_that_of_a_flag_or_the_active_one_whatever_the_plugin_of_the_table_is() {
    let file = file(TWO);
    let path = file.path().to_str().unwrap();
    let choice = |more: &[&str]| {
        let arguments = ["dlq", "redrive", "--config", path, "--pipeline", "b", "--state-dir", "s"];
        let Ok(Command::Dlq(config)) = parsed(&[&arguments, more].concat(), &[]) else { panic!("{more:?}") };
        let DlqCommand::Redrive { target, .. } = config.command else { panic!("{more:?}") };
        let RedriveTarget::Map(choice) = target else { panic!("{more:?}") };
        choice
    };
    let place = HistoryPlace { state_dir: Some("s".into()), group: "readers".to_owned() };
    assert_eq!(choice(&["--plugin", "fixed.wasm"]), VersionChoice::File("fixed.wasm".into()));
    let digest = "0123ABCD".to_owned();
    let expected = VersionChoice::Earlier { digest: digest.to_ascii_lowercase(), place: place.clone() };
    assert_eq!(choice(&["--version", &digest]), expected);
    assert_eq!(choice(&[]), VersionChoice::Active { place, configured: Some("b.wasm".into()) });
}
