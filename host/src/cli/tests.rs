//! Arguments, variables and files, with the resulting configuration or message.

mod admin;
mod audit;
mod author;
mod console;
mod help;
mod in_force;
mod kafka;
mod pages;
mod refused;
mod sandbox;
mod tables;
mod topics;

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::settings::{BENCH, GENERATE, MAP, RUN, Setting, TEST};
use super::{CliError, parse};
use crate::config::{
    AdminConfig, BreakerRecords, Command, DEFAULT_PIPELINE, Delivery, GenerateConfig, LogConfig, LogFormat,
    PipelineSpec, Rhythm, RunConfig, SwapConfig,
};
use mapper_runtime::{Grants, Limits};
use mapper_visits::Profile;

const PLUGIN: &[&str] = &["--plugin", "p.wasm"];
const KAFKA: &[&str] = &["--plugin", "p.wasm", "--brokers", "k:9092"];

fn parsed(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Command, CliError> {
    let arguments = ["mapper-host"].iter().chain(arguments).map(OsString::from);
    parse(arguments, variables.iter().copied())
}

fn run_config(arguments: &[&[&str]], variables: &[(&str, &str)]) -> RunConfig {
    match parsed(&arguments.concat(), variables) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{arguments:?} {variables:?}: {other:?}"),
    }
}

/// The pipeline that flags describe.
fn run(arguments: &[&[&str]], variables: &[(&str, &str)]) -> PipelineSpec {
    match <[PipelineSpec; 1]>::try_from(run_config(arguments, variables).pipelines) {
        Ok([spec]) => spec,
        Err(specs) => panic!("{arguments:?} {variables:?}: {specs:?}"),
    }
}

fn generate(arguments: &[&str], variables: &[(&str, &str)]) -> GenerateConfig {
    match parsed(&[&["generate"], arguments].concat(), variables) {
        Ok(Command::Generate(config)) => *config,
        other => panic!("{arguments:?} {variables:?}: {other:?}"),
    }
}

fn wrong(arguments: &[&[&str]], variables: &[(&str, &str)]) -> String {
    match parsed(&arguments.concat(), variables) {
        Err(CliError::Wrong(message) | CliError::Setting { message, .. }) => message,
        other => panic!("{arguments:?} {variables:?}: {other:?}"),
    }
}

fn help(arguments: &[&str]) -> String {
    match parsed(arguments, &[]) {
        // The width of the terminal decides where lines end.
        Err(CliError::Help(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => panic!("{arguments:?}: {other:?}"),
    }
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn pairs(config: &[(String, String)]) -> Vec<(&str, &str)> {
    config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn run_is_the_default_and_all_its_defaults_are_allowed() {
    for arguments in [&["--plugin", "p.wasm"][..], &["run", "--plugin", "p.wasm"]] {
        let host = run_config(&[arguments], &[("HOME", "/home/me"), ("PATH", "/bin")]);
        let [config] = &host.pipelines[..] else { panic!("{host:?}") };
        assert_eq!(config.name, DEFAULT_PIPELINE);
        assert_eq!(config.plugin.to_str(), Some("p.wasm"));
        assert_eq!(config.brokers, None);
        assert_eq!(config.delivery, Delivery::AtLeastOnce);
        assert_eq!([&config.input_topics.to_string(), &config.output_topic], ["visits", "visits_reduced"]);
        assert_eq!([&config.dead_letter_topic, &config.group], ["visits_dlq", "visits_reader"]);
        assert_eq!(config.workers, 1);
        assert_eq!((config.commit_interval, config.transaction_timeout), (ms(100), ms(30_000)));
        assert_eq!((config.commit_records, config.commit_bytes, config.batch_records), (20_000, 16 << 20, 500));
        assert_eq!((config.limits, &config.grants), (Limits::default(), &Grants::default()));
        assert_eq!((config.drain_timeout, config.connect_timeout), (ms(10_000), ms(30_000)));
        assert_eq!(config.session_timeout, ms(6_000));
        assert_eq!(host.cache_dir, Some("/home/me/.cache/mapper-host".into()));
        assert_eq!(host.state_dir, Some("/home/me/.local/state/mapper-host".into()));
        assert_eq!(host.log, LogConfig { format: LogFormat::Text, filter: "info".into() });
        let admin = AdminConfig { address: "127.0.0.1:8080".parse().unwrap(), asked: false };
        assert_eq!(host.admin, Some(admin));
        assert_eq!((config.state_topic.as_str(), &config.ledger_topic), ("visits_dlq.state", &None));
        assert!(!config.until_end && config.create_topics.is_none() && config.transactional_id.is_none());
        assert!(config.extra_topics.is_empty() && config.kafka.is_empty() && config.set.is_empty());
    }
    let state_topic = |more: &[&str]| run(&[KAFKA, more], &[]).state_topic;
    assert_eq!(state_topic(&["--dead-letter-topic", "d", "--extra-topic", "e", "--ledger-topic", "l"]), "d.state");
    assert_eq!(state_topic(&["--state-topic", "s", "--extra-topic", "e", "--ledger-topic", "l"]), "s");
    let with_kafka = run(&[KAFKA], &[]);
    assert_eq!(with_kafka.delivery, Delivery::ExactlyOnce);
    assert_eq!((with_kafka.workers, with_kafka.session_timeout), (2, ms(45_000)));
    let demo = run(&[PLUGIN, &["--workers", "3", "--session-timeout", "9s"]], &[]);
    assert_eq!((demo.workers, demo.session_timeout), (3, ms(9_000)));
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn default_folders_follow_the_xdg_variables() {
    let folders = |variables: &[_]| {
        let config = run_config(&[PLUGIN], variables);
        [config.cache_dir, config.state_dir].map(|dir| dir.map(|dir| dir.to_str().unwrap().to_owned()))
    };
    let some = |[cache, state]: [&str; 2]| [Some(cache.to_owned()), Some(state.to_owned())];
    let xdg = [("HOME", "/home/me"), ("XDG_CACHE_HOME", "/cache"), ("XDG_STATE_HOME", "relative")];
    assert_eq!(folders(&xdg), some(["/cache/mapper-host", "/home/me/.local/state/mapper-host"]));
    // Several users share a directory for temporary files.
    for variables in [&[][..], &[("TMPDIR", "/scratch")], &[("HOME", "")], &[("XDG_CACHE_HOME", "relative")]] {
        assert_eq!(folders(variables), [None, None], "{variables:?}");
    }
    let config = run_config(&[PLUGIN, &["--cache-dir", "c", "--state-dir", "s"]], &[]);
    assert_eq!([config.cache_dir, config.state_dir], [Some("c".into()), Some("s".into())]);
}

#[test]
fn generate_defaults_are_those_of_the_reference() {
    let config = generate(&["--brokers", "k:9092"], &[]);
    let (default, profile) = (Profile::default(), &config.profile);
    assert_eq!(profile.seed, default.seed);
    assert_eq!([profile.missing_fields, profile.unparseable], [default.missing_fields, default.unparseable]);
    assert_eq!([profile.duplicates, profile.late], [default.duplicates, default.late]);
    assert_eq!((config.topic.as_str(), config.rhythm, config.count), ("visits", Rhythm::Reference, None));

    let arguments = ["--rate", "2.5", "--count", "7", "--seed", "9", "--late", "0.25", "--create-topics", "2"];
    let config = generate(&arguments, &[("MAPPER_BROKERS", "a:1, b:2"), ("MAPPER_KAFKA", "linger.ms=5")]);
    assert_eq!((config.rhythm, config.count, config.create_topics), (Rhythm::Rate(2.5), Some(7), Some(2)));
    assert_eq!((config.profile.seed, config.profile.late), (9, 0.25));
    assert_eq!((config.brokers.as_str(), pairs(&config.kafka)), ("a:1,b:2", vec![("linger.ms", "5")]));
    assert!(wrong(&[&["generate"]], &[]).contains("--brokers localhost:9092"));
}

#[test]
fn flag_overrides_variable_and_variable_overrides_file() {
    let file = file(
        "plugin = \"file.wasm\"\nworkers = 3\nbrokers = \"file:1\"\ncommit-bytes = 1000\nuntil-end = true\n\
         extra-topic = [\"c\"]\nlate = 0.5\n[kafka]\nlinger.ms = 1\n\"client.id\" = \"file\"\nsocket.keepalive.enable = true\n\
         [set]\na = 1.5\n",
    );
    let path = file.path().to_str().unwrap();
    let file: &[&str] = &["--config", path];
    let all_three = &["--workers", "5", "--kafka", "linger.ms=3", "--extra-topic", "a", "--extra-topic", "b"];
    let variables = [
        ("MAPPER_WORKERS", "4"),
        ("MAPPER_BROKERS", "variable:1"),
        ("MAPPER_KAFKA", "linger.ms=2;client.id=variable;client.rack=r=1"),
        ("MAPPER_EXTRA_TOPIC", "d, e"),
        ("MAPPER_SET", "b=x;y\n a=2\r\n"),
    ];

    let config = run(&[file, all_three], &variables);
    assert_eq!((config.workers, config.brokers.as_deref()), (5, Some("variable:1")));
    assert_eq!(config.plugin.to_str(), Some("file.wasm"));
    assert_eq!(config.extra_topics, ["a", "b"]);
    let expected =
        [("client.id", "variable"), ("client.rack", "r=1"), ("linger.ms", "3"), ("socket.keepalive.enable", "true")];
    assert_eq!(pairs(&config.kafka), expected);
    assert_eq!(pairs(&config.set), [("a", "2"), ("b", "x;y")]);

    let config = run(&[file], &variables);
    assert_eq!((config.workers, &config.extra_topics[..]), (4, &["d".to_owned(), "e".to_owned()][..]));
    assert_eq!(config.commit_bytes, 1000);

    // A variable can name the file; a flag overrides a switch; an empty list is a list.
    let config = run(&[&["--until-end=false"]], &[("MAPPER_CONFIG", path), ("MAPPER_EXTRA_TOPIC", "")]);
    assert_eq!((config.workers, config.until_end, config.extra_topics.len()), (3, false, 0));
    assert!(run(&[file], &[]).until_end);
}

#[test]
fn every_setting_has_a_flag_a_variable_and_a_key_in_the_file() {
    // Only settings with a path accept this value, so an error shows that the setting was read from there.
    const NEVER: &str = "\u{1}";
    let commands: [(&str, &[Setting], &[&str]); 5] = [
        ("run", &RUN, PLUGIN),
        ("generate", &GENERATE, &[]),
        ("test", &TEST, &[]),
        ("map", &MAP, &["p.wasm", "--from-topic", "t"]),
        ("bench", &BENCH, &["p.wasm"]),
    ];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("host.toml");
    for (command, settings, base) in commands {
        for setting in settings
            .iter()
            .filter(|setting| !["plugin", "cache-dir", "state-dir", "admin-token-file"].contains(&setting.name))
        {
            let given = setting.name == "brokers" || settings.iter().all(|other| other.name != "brokers");
            let brokers: &[&str] = if given { &[] } else { &["--brokers", "k"] };
            let arguments = [&[command], base, brokers].concat();
            let flag = format!("--{}", setting.name);
            let message = wrong(&[&arguments, &[&format!("{flag}={NEVER}")]], &[]);
            assert!(message.starts_with(&format!("flag {flag}: ")), "{message}");
            let variable = setting.variable();
            let message = wrong(&[&arguments], &[(&variable, NEVER)]);
            assert!(message.starts_with(&format!("variable {variable}: ")), "{message}");
            if command == "run" && !["config", "kafka", "set"].contains(&setting.name) {
                let text = format!("{} = \"\\u0001\"\n", setting.name);
                std::fs::write(&file, text).unwrap();
                let message = wrong(&[&arguments, &["--config", file.to_str().unwrap()]], &[]);
                assert!(message.contains(&format!(", key {}: ", setting.name)), "{message}");
            }
        }
    }
}

#[test]
fn unknown_setting_is_rejected_with_the_nearest_name() {
    let variables = [
        ("MAPPER_WORKER", "variable MAPPER_WORKER: there is no such setting; did you mean MAPPER_WORKERS?"),
        (
            "MAPPER_XYZZY",
            "variable MAPPER_XYZZY: there is no such setting; variables that start with MAPPER_ are settings, see mapper-host run --help",
        ),
    ];
    for (name, message) in variables {
        assert_eq!(wrong(&[PLUGIN], &[(name, "1")]), message);
    }
    run(&[PLUGIN], &[("MAPPERS", "1"), ("MY_MAPPER_WORKER", "1"), ("MAPPER_RATE", "5")]);

    let files = [
        ("input_topic = \"x\"", "key input_topic: there is no such setting; did you mean input-topic?"),
        ("[kafak]\na = 1", "key kafak: there is no such setting; did you mean kafka?"),
        (
            "xyzzy = 1",
            "key xyzzy: there is no such setting; the keys are the names of the flags, see mapper-host run --help and \
             mapper-host generate --help",
        ),
        ("config = \"x\"", "key config: a settings file cannot name another one"),
        ("workers = \"2\"", "key workers: it must be a whole number, as workers = 2, but is of the type string"),
        ("group = 2", "key group: it must be a string, as group = \"…\", but is of the type integer"),
        (
            "record-timeout = 1",
            "key record-timeout: it must be a string with a unit, as record-timeout = \"100ms\", but is of the type integer",
        ),
        ("until-end = 1", "key until-end: it must be a bool, as until-end = true, but is of the type integer"),
        ("late = \"0\"", "key late: it must be a number, as late = 0.5, but is of the type string"),
        (
            "memory-limit = 1.5",
            "key memory-limit: it must be a string or a whole number of bytes, as memory-limit = \"16MiB\", but is of the type \
             float",
        ),
        (
            "extra-topic = [1]",
            "key extra-topic: it must be an array of strings, as extra-topic = [\"…\"], but is of the type array",
        ),
        ("set = \"a=b\"", "key set: it must be a table, as [set], but is of the type string"),
        ("[set]\na = [1]", "key set: a must be a string, a number or a bool, but is of the type array"),
        ("workers = 0", "key workers: \"0\" is not allowed: give a whole number from 1 to 256"),
        (
            "[kafka]\nacks = 1",
            "key kafka: acks belongs to the host: it is all: with less, an acknowledged output could be lost",
        ),
        ("[kafka]\nlinger.ms = 1\n\"linger.ms\" = 2", "key kafka: linger.ms is given twice"),
    ];
    for (text, message) in files {
        let file = file(text);
        let path = file.path().to_str().unwrap();
        assert_eq!(wrong(&[PLUGIN, &["--config", path]], &[]), format!("{path}, {message}"));
    }
    let file = file("[kafka]\nsasl.password = hunter2");
    let message = wrong(&[PLUGIN, &["--config", file.path().to_str().unwrap()]], &[]);
    assert!(message.contains(", line 2: not TOML: ") && !message.contains("hunter2"), "{message}");
    let message = wrong(&[PLUGIN], &[("MAPPER_CONFIG", "/nowhere.toml")]);
    assert!(message.starts_with("variable MAPPER_CONFIG: the file /nowhere.toml cannot be read: "), "{message}");
}

#[test]
fn unknown_argument_is_rejected_with_the_nearest_name() {
    for (arguments, part) in [
        (&["--plugin", "x", "--worker", "2"][..], "'--workers'"),
        (&["biuld", "x"], "'build'"),
        (&["--workers", "1", "--workers", "2"], "cannot be used multiple times"),
    ] {
        let message = wrong(&[arguments], &[]);
        assert!(message.contains(part) && !message.starts_with("error"), "{message}");
    }
}

#[test]
fn passwords_are_not_shown() {
    let config = run(&[KAFKA, &["--kafka", "sasl.password=hunter2"]], &[]);
    assert!(!format!("{config:?}").contains("hunter2"));
    let message = wrong(&[KAFKA], &[("MAPPER_KAFKA", "sasl.password=hun;ter2")]);
    assert_eq!(
        message,
        "variable MAPPER_KAFKA: entry 2 is not KEY=VALUE; if a value has a ';' in it, put each entry on a line of its own, or use \
         the file given with --config"
    );
}

#[test]
fn failure_settings_are_read_and_consistent() {
    let failures = |arguments: &[&str]| run(&[PLUGIN, arguments], &[]).failures;
    let standard = failures(&[]);
    let breaker = standard.policy.breaker;
    assert_eq!((breaker.after, breaker.records), (100, BreakerRecords::DeadLetter));
    assert_eq!((breaker.retry, standard.policy.halt_on_error_ratio), (ms(1000), None));
    assert_eq!(failures(&["--breaker-records", "hold"]).policy.breaker.records, BreakerRecords::Hold);
    let ratio = failures(&["--halt-on-error-ratio", "0.9", "--error-ratio-window", "50"]).policy;
    assert_eq!((ratio.halt_on_error_ratio, ratio.error_ratio_window), (Some(0.9), 50));
    let message = wrong(&[PLUGIN, &["--breaker-after", "0", "--breaker-records", "hold"]], &[]);
    assert!(message.starts_with("flag --breaker-records: ") && message.contains("no breaker opens"), "{message}");
}

#[test]
fn try_out_and_probation_are_on_by_default() {
    let expected =
        SwapConfig { watch: true, max_regressions: 0, probation: 1000, probation_tolerance: 0.05, provenance: false };
    assert_eq!(run(&[PLUGIN], &[]).swap, expected);
    let config = run(&[PLUGIN, &["--watch", "off", "--provenance", "headers", "--probation", "0"]], &[]);
    assert_eq!(config.swap, SwapConfig { watch: false, probation: 0, provenance: true, ..expected });
}

#[test]
fn plugin_file_is_watched_in_the_demo_and_with_brokers_only_if_set() {
    let watch = |arguments: &[&[&str]], variables: &[(&str, &str)]| run(arguments, variables).swap.watch;
    assert!(watch(&[PLUGIN], &[]));
    assert!(!watch(&[KAFKA], &[]));
    assert!(!watch(&[PLUGIN], &[("MAPPER_BROKERS", "k:9092")]), "brokers count wherever they are given");
    assert!(watch(&[KAFKA, &["--watch", "on"]], &[]));
    assert!(watch(&[KAFKA], &[("MAPPER_WATCH", "on")]));
    assert!(!watch(&[PLUGIN], &[("MAPPER_WATCH", "off")]));
}
