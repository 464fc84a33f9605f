//! The arguments of the console of other hosts.

use super::*;
use crate::config::ConsoleConfig;

fn console(arguments: &[&str], variables: &[(&str, &str)]) -> ConsoleConfig {
    match parsed(&[&["console"], arguments].concat(), variables) {
        Ok(Command::Console(config)) => *config,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

#[test]
fn console_of_a_kafka_has_one_pipeline_with_the_topics_of_the_flags() {
    let config = console(&["--brokers", "kafka:9092", "--dead-letter-topic", "dlq", "--consumer-group", "g"], &[]);
    let [pipeline] = &config.run.pipelines[..] else { panic!("{config:?}") };
    assert_eq!(pipeline.brokers.as_deref(), Some("kafka:9092"));
    assert_eq!((pipeline.name.as_str(), pipeline.group.as_str()), ("default", "g"));
    assert_eq!((pipeline.dead_letter_topic.as_str(), pipeline.state_topic.as_str()), ("dlq", "dlq.state"));
    assert_eq!(config.address, "127.0.0.1:8080".parse().unwrap());
    let named = console(&["--pipeline", "orders", "--host", "h:1"], &[("MAPPER_BROKERS", "kafka:9092")]);
    assert_eq!((named.run.pipelines[0].name.as_str(), &named.hosts[..]), ("orders", &["http://h:1".to_owned()][..]));
}

#[test]
fn console_of_hosts_alone_has_no_pipeline_and_needs_no_brokers() {
    let config = console(&["--host", "10.0.0.7:8080", "--host", "http://h", "--admin", "127.0.0.1:0"], &[]);
    assert_eq!(config.hosts, ["http://10.0.0.7:8080", "http://h"]);
    assert_eq!((config.run.pipelines.len(), config.address.port()), (0, 0));
}

#[test]
fn console_of_a_settings_file_has_its_pipelines_without_their_plugins() {
    let table = |name: &str| {
        format!(
            "[[pipeline]]\nname = \"{name}\"\ninput-topic = \"{name}\"\noutput-topic = \"{name}-out\"\ndead-letter-topic = \"{name}-dlq\"\n"
        )
    };
    let text = format!("brokers = \"kafka:9092\"\nadmin = \"127.0.0.1:8090\"\n{}{}", table("a"), table("b"));
    let file = file(&text);
    let path = file.path().to_str().unwrap();
    let config = console(&["--config", path], &[]);
    let names: Vec<&str> = config.run.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
    assert_eq!((names, config.address.port()), (vec!["a", "b"], 8090));
    assert_eq!(console(&["--config", path, "--admin", "127.0.0.1:1"], &[]).address.port(), 1);
    let message = wrong(&[&["console", "--config", path, "--pipeline", "a"]], &[]);
    assert!(message.contains("the settings file names its pipelines"), "{message}");
}

#[test]
fn console_without_a_source_or_with_a_token_for_everyone_is_refused() {
    let all = |arguments: &[&str]| wrong(&[&["console"], arguments], &[]);
    for (arguments, expected) in [
        (&[][..], "give the console something to show"),
        (&["--host", "https://h:1"], "flag --host: \"https://h:1\" is not allowed"),
        (&["--host", "h:1", "--host", "http://h:1/"], "given twice"),
        (&["--host", "h:1", "--admin", "off"], "the console is this server"),
        (&["--host", "h:1", "--admin", "0.0.0.0:8080"], "--admin-token-file"),
        (&["--host", "h:1", "--host-token-file", "t"], "Give --admin-token-file FILE, too"),
        (&["--brokers", "k:1", "--admin-token-file", "t", "--host-token-file", "t"], "there is no host"),
        (&["--host", "h:1", "--pipeline", "a"], "no flags describe a pipeline"),
        (&["--brokers", "k:1", "--pipeline", "a b"], "flag --pipeline: \"a b\" is not allowed"),
    ] {
        let message = all(arguments);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
    let message = all(&["--host", "http://me:hunter2@h:1"]);
    assert!(message.contains("flag --host") && !message.contains("hunter2"), "{message}");
    let both = console(&["--host", "h:1", "--admin-token-file", "t", "--host-token-file", "u"], &[]);
    assert_eq!(both.host_token_file, Some("u".into()));
}

#[test]
fn help_of_the_console_has_examples_and_no_setting_of_the_record_path() {
    let text = help(&["console", "--help"]);
    for shown in ["--host URL", "Examples:", "--dead-letter-topic", "--admin-token-file", "Ctrl-C ends the console"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    for hidden in ["--plugin ", "--workers", "--breaker-after", "--otlp-endpoint", "--until-end"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}
