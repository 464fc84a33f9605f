//! The commands of a plugin's author.

use super::*;
use crate::config::{AuthorCommand, BuildConfig, MapConfig, MapFormat, MapInput, TestConfig};

fn author(arguments: &[&str], variables: &[(&str, &str)]) -> AuthorCommand {
    match parsed(arguments, variables) {
        Ok(Command::Author(command)) => command,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

fn test(arguments: &[&str], variables: &[(&str, &str)]) -> TestConfig {
    match author(&[&["test"], arguments].concat(), variables) {
        AuthorCommand::Test(config) => *config,
        other => panic!("{other:?}"),
    }
}

fn map(arguments: &[&str], variables: &[(&str, &str)]) -> MapConfig {
    match author(&[&["map"], arguments].concat(), variables) {
        AuthorCommand::Map(config) => *config,
        other => panic!("{other:?}"),
    }
}

fn build(arguments: &[&str], variables: &[(&str, &str)]) -> BuildConfig {
    match parsed(&[&["build"], arguments].concat(), variables) {
        Ok(Command::Build(config)) => config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn build_reads_no_environment_unless_it_runs_cases() {
    let variables = [("MAPPER_BUILD_NUMBER", "7")];
    let config = build(&["plugins/x"], &variables);
    assert!((config.dir.to_str(), config.output, config.watch.is_none()) == (Some("plugins/x"), None, true));
    assert_eq!(build(&["x", "--output", "y"], &variables).output, Some("y".into()));
    assert!(wrong(&[&["build", "x", "--watch"]], &variables).contains("MAPPER_BUILD_NUMBER"));
    let watching = build(&["x", "--watch", "--set", "a=1"], &[("MAPPER_MEMORY_LIMIT", "2MiB")]).watch.unwrap();
    assert_eq!((pairs(&watching.guest.set), watching.guest.limits.memory_bytes), (vec![("a", "1")], 2 << 20));
    assert!(wrong(&[&["build", "x", "--set", "a=1"]], &[]).contains("--watch"));
}

#[test]
fn author_commands_use_the_plugin_settings_of_run() {
    let variables = [("MAPPER_SET", "a=1"), ("MAPPER_PLUGIN", "ignored.wasm"), ("HOME", "/home/me")];
    let config = test(&["--memory-limit", "2MiB", "--allow-env", "HOME"], &variables);
    assert_eq!((config.targets, config.cases, config.filter), (vec![".".into()], None, None));
    assert!(!config.bless && config.junit.is_none());
    let guest = config.guest;
    assert_eq!((pairs(&guest.set), guest.limits.memory_bytes, guest.batch_records), (vec![("a", "1")], 2 << 20, 500));
    assert_eq!(guest.grants.env, [("HOME".to_owned(), "/home/me".to_owned())]);
    assert_eq!(guest.log.filter, "warn,guest=info");
    assert_eq!(guest.cache_dir, Some("/home/me/.cache/mapper-host".into()));
    let config = test(&["x.wasm", "--cases", "c", "--filter", "f", "--bless", "--junit", "j"], &[]);
    assert_eq!((config.targets, config.cases), (vec!["x.wasm".into()], Some("c".into())));
    assert_eq!(config.junit, Some("j".into()));
    assert_eq!(test(&["x", "y", "--bless"], &[]).targets.len(), 2);
    assert!(config.bless && config.filter.as_deref() == Some("f"));
}

#[test]
fn map_takes_files_or_a_topic() {
    let config = map(&["p.wasm", "a", "-", "--format", "record", "--limit", "3", "--stats", "-v"], &[]);
    let MapInput::Files(files) = config.input else { panic!("{:?}", config.input) };
    assert_eq!((files.len(), config.format, config.limit), (2, MapFormat::Record, Some(3)));
    assert!(config.stats && config.verbose);
    let topic = ["p.wasm", "--from-topic", "t", "--brokers", "k:9092", "--kafka", "client.rack=b"];
    let MapInput::Topic(input) = map(&topic, &[]).input else { panic!("files") };
    assert_eq!(
        (input.topic.as_str(), input.brokers.as_str(), pairs(&input.kafka)),
        ("t", "k:9092", vec![("client.rack", "b")])
    );
    for (arguments, words) in [
        (&["map"][..], "<FILE>"),
        (&["map", "p", "--format", "csv"], "flag --format: \"csv\" is not allowed: give value, record or dead-letter"),
        (&["map", "p", "--limit", "0"], "flag --limit: \"0\" is not allowed: give a whole number, 1 or more"),
        (&["map", "p", "--from-topic", "t"], "it needs a Kafka"),
        (&["map", "p", "x", "--from-topic", "t", "--brokers", "k"], "give one or the other"),
        (&["map", "p", "--from-topic", "a/b", "--brokers", "k"], "flag --from-topic: \"a/b\" is not allowed"),
        (&["test", "x", "y", "--cases", "c"], "flag --cases: there are several plugins; give one"),
        (&["check"], "<FILE>"),
        (&["check", "x", "--contract"], "cannot be used with"),
        (&["new", "x"], "--lang"),
        (&["completions", "tcsh"], "possible values"),
    ] {
        let message = wrong(&[arguments], &[]);
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
    assert!(matches!(author(&["check", "--contract"], &[]), AuthorCommand::Contract { json: false }));
}

#[test]
fn every_command_has_help_completions_and_a_man_page() {
    let names = ["run", "new", "build", "test", "map", "check", "bench", "generate", "completions", "man"];
    let overview = help(&["--help"]);
    for name in names {
        assert!(help(&[name, "--help"]).contains(&format!("Usage: mapper-host {name}")), "{name}");
        assert!(overview.contains(&format!(" {name} ")), "{name}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let Ok(Command::Show(text)) = parsed(&["completions", shell], &[]) else { panic!("{shell}") };
        for word in names.iter().copied().chain(["record-timeout", "from-topic", "bless"]) {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    let Ok(Command::Man(man)) = parsed(&["man", "--dir", "x"], &[]) else { panic!("no pages") };
    assert_eq!(man.dir, Some("x".into()));
    let files: Vec<&str> = man.pages.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<String> =
        ["mapper-host.1".to_owned()].into_iter().chain(names.map(|name| format!("mapper-host-{name}.1"))).collect();
    assert!(expected.iter().all(|name| files.contains(&name.as_str())), "{files:?}");
    for (name, page) in &man.pages {
        assert!(page.starts_with(".ie") && page.contains(".SH NAME"), "{name}: {page:.200}");
    }
}
