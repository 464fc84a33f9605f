//! The host at a terminal: its output and its exit code.

use std::process::Command;
use std::time::Duration;

use harness::host::{self, Job};
use harness::kafka::Kafka;
use harness::topics;

use crate::{HOST, reduce_visit};

fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = host::command(HOST).args(args).output().expect("the host can be run");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn invalid_configuration_exits_with_2_before_any_io() {
    for (args, words) in [
        (&["--plugin", "x.wasm", "--workers", "0"][..], "--workers"),
        (&["--plugin", "x.wasm", "--no-such-flag"], "--no-such-flag"),
        (&[], "--plugin"),
        (&["--plugin", "x.wasm", "--until-end"], "--brokers"),
        (&["--plugin", "x.wasm", "--brokers", "127.0.0.1:1", "--kafka", "group.id=x"], "--group"),
        (&["--plugin", "x.wasm", "--brokers", "127.0.0.1:1", "--output-topic", "visits"], "visits"),
    ] {
        let (code, output) = run(args);
        assert_eq!(code, Some(2), "{args:?}: {output}");
        assert!(output.contains(words), "{args:?}: {output}");
    }
}

#[test]
fn unusable_plugin_exits_with_3_and_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let broken = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.display().to_string()
    };
    let large = dir.path().join("large.wasm");
    std::fs::File::create(&large).and_then(|file| file.set_len(100_000_000)).expect("a file");
    let mut cut = std::fs::read(reduce_visit()).expect("the plugin");
    cut.truncate(cut.len() / 2);
    for (plugin, words) in [
        (dir.path().join("absent.wasm").display().to_string(), "No such file"),
        (large.display().to_string(), "file too large: 100000000 bytes: the limit for a plugin is 64MiB"),
        (broken("text.wasm", b"hello"), "not WebAssembly"),
        (broken("empty.wasm", b""), "not WebAssembly"),
        (broken("module.wasm", b"\0asm\x01\0\0\0"), "not a component: a core WebAssembly module"),
        (broken("nothing.wasm", b"\0asm\x0d\0\x01\0"), "not a mapper component"),
        (broken("cut.wasm", &cut), "not valid WebAssembly"),
    ] {
        let cache = dir.path().join("cache").display().to_string();
        let (code, output) = run(&["--plugin", &plugin, "--cache-dir", &cache]);
        assert_eq!(code, Some(3), "{output}");
        assert!(output.contains(words) && output.contains(&plugin), "{output}");
    }
}

#[test]
fn unreachable_kafka_exits_with_4() {
    let plugin = reduce_visit().display().to_string();
    let (code, output) = run(&["--plugin", &plugin, "--brokers", "127.0.0.1:1", "--connect-timeout", "1s"]);
    assert_eq!(code, Some(4), "{output}");
    assert!(output.contains("127.0.0.1:1") && output.contains("--brokers"), "{output}");
}

#[test]
fn demo_shows_visits_and_dead_letters_and_ends_with_a_summary() {
    let mut demo = host::Host::spawn(host::command(HOST).args(["--plugin", &reduce_visit().display().to_string()]));
    demo.wait_for("This is a demo");
    demo.wait_for("Failures are part of it");
    // Each result stands below its visit.
    demo.wait_for("\n  → visits_reduced  {\"visit_id\"");
    demo.wait_for("\n  → visits_dlq      fromisoformat: argument must be str\n");
    // A shown record may be mapped again after a rebalance; counted records are committed.
    demo.wait_for(" dead letters, ");
    demo.signal(libc::SIGINT);
    let ended = demo.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains(" records in ") && ended.output.contains(" dead letters ("), "{}", ended.output);
    assert!(ended.output.contains("What to try next:") && ended.output.contains(" new my_mapper"), "{}", ended.output);
    let lines: Vec<&str> = ended.output.lines().collect();
    let results = lines.windows(2).filter(|lines| lines[1].starts_with("  → visits_"));
    let (mut outputs, mut visits) = (0, 0);
    for lines in results {
        outputs += 1;
        visits += usize::from(lines[0].starts_with("  visits            "));
    }
    assert!(outputs >= 2 && outputs == visits, "{}", ended.output);
    // The samples show the failures, and there is no error.
    assert!(!ended.output.contains(" WARN "), "{}", ended.output);
}

#[test]
fn demo_at_a_terminal_truncates_lines_to_the_width() {
    let mut command = host::command(HOST);
    command.args(["--plugin", &reduce_visit().display().to_string(), "--log-level", "off"]);
    let mut demo = host::Host::spawn_at_terminal(command, true);
    demo.wait_for("→ visits_reduced  {\"visit_id\"");
    demo.wait_for("→ visits_dlq      ");
    demo.signal(libc::SIGINT);
    let ended = demo.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let samples: Vec<&str> = ended.output.split(['\r', '\n']).filter(|line| line.contains("{\"visit_id\"")).collect();
    // A visit has more than 200 characters; the terminal has 100 columns.
    assert!(samples.iter().any(|line| line.ends_with('…')), "{}", ended.output);
    for line in samples {
        let shown = &line[line.find("  visits").or(line.find("  → ")).unwrap_or_default()..];
        assert!(shown.chars().count() < 100, "{shown:?}");
    }
}

#[test]
fn demo_at_a_terminal_shows_a_progress_line() {
    let mut command = host::command(HOST);
    command.args(["--plugin", &reduce_visit().display().to_string()]);
    let mut demo = host::Host::spawn_at_terminal(command, true);
    demo.wait_for("→ visits_reduced  {\"visit_id\"");
    // The progress line is rewritten: the cursor returns to its beginning, and the old text is deleted.
    for _ in 0..2 {
        demo.wait_for("/s) → ");
        let lines = demo.output().matches("/s) → ").count();
        demo.wait_for_times("/s) → ", lines + 1);
    }
    let seen = demo.output();
    assert!(seen.contains("\r") && seen.contains("\x1b[2K"), "{seen:?}");
    demo.signal(libc::SIGINT);
    let ended = demo.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains(" records in ") && ended.output.contains(" commits, "), "{}", ended.output);
}

#[test]
fn missing_plugin_is_built_from_its_project_beside_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, output) = run(&["new", &dir.path().join("absent").display().to_string(), "--lang", "rust"]);
    assert_eq!(code, Some(0), "{output}");
    let plugin = dir.path().join("absent.wasm");
    let mut command = crate::author::in_dir(dir.path(), &["--plugin", "absent.wasm"]);
    let mut demo = host::Host::spawn(&mut command);
    demo.wait_for("absent.wasm does not exist; building it from");
    demo.wait_for("This is a demo");
    demo.signal(libc::SIGINT);
    let ended = demo.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(plugin.is_file());
}

#[test]
fn demo_prints_json_lines_with_log_format_json() {
    let plugin = reduce_visit().display().to_string();
    let mut demo = host::Host::spawn(host::command(HOST).args(["--plugin", &plugin, "--log-format", "json"]));
    demo.wait_for("\"progress\"");
    demo.signal(libc::SIGTERM);
    let ended = demo.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    for line in ended.output.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "{line}");
    }
}

#[test]
fn generated_visits_of_a_topic_depend_only_on_the_seed() {
    let kafka = Kafka::shared();
    let filled = |seed: &str| {
        let topic = topics::unique("generated");
        let args = ["generate", "--brokers", kafka.brokers(), "--topic", &topic, "--create-topics", "1"];
        let (code, output) = run(&[&args[..], &["--count", "500", "--rate", "100000", "--seed", seed]].concat());
        assert_eq!(code, Some(0), "{output}");
        topics::read_until(kafka, &topic, 500, Duration::from_secs(30))
            .into_iter()
            .map(|record| (record.key, record.value))
            .collect::<Vec<_>>()
    };
    let first = filled("1");
    assert_eq!(first.len(), 500);
    assert_eq!(first, filled("1"));
    assert_ne!(first, filled("2"));
}

#[test]
fn settings_are_read_from_flags_variables_and_a_file() {
    let job = Job::new(Kafka::shared(), "sources", HOST, &reduce_visit());
    topics::produce(job.kafka, &job.input, (0..4).map(|_| topics::NewRecord::value("{")));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("host.toml");
    let text = format!("brokers = \"{}\"\ninput-topic = \"nowhere\"\nuntil-end = true\n", job.kafka.brokers());
    std::fs::write(&file, text).expect("a file");
    let output = host::command(HOST)
        .env("MAPPER_CONFIG", &file)
        .env("MAPPER_INPUT_TOPIC", &job.input)
        .env("MAPPER_OUTPUT_TOPIC", "nowhere")
        .env("MAPPER_GROUP", &job.group)
        .env("MAPPER_CACHE_DIR", dir.path().join("cache"))
        .env("MAPPER_STATE_DIR", dir.path().join("state"))
        .args(["--output-topic", &job.output, "--dead-letter-topic", &job.dead_letters])
        .args(["--plugin", &reduce_visit().display().to_string()])
        .output()
        .expect("the host can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), 4);
}

#[test]
fn project_is_built_in_its_directory_and_another_directory_is_rejected() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, output) = run(&["build", &dir.path().display().to_string()]);
    assert_eq!(code, Some(3), "{output}");
    assert!(output.contains("it has no Cargo.toml"), "{output}");
    let built = Command::new(HOST).args(["build", "--help"]).output().expect("the host can be run");
    assert!(String::from_utf8_lossy(&built.stdout).contains("NAME.wasm beside the folder"));
}
