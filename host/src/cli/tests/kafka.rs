//! `--kafka`: aliases, properties that run code, and messages without secrets.

use super::{KAFKA, file, generate, pairs, parsed, run, run_config, wrong};
use crate::cli::settings::{Kind, RUN};

const SECRET: &str = "hunter2";

fn refused(entries: &[&str]) -> String {
    let flags: Vec<&str> = entries.iter().flat_map(|entry| ["--kafka", entry]).collect();
    wrong(&[KAFKA, &flags], &[])
}

#[test]
fn aliases_set_one_property_in_every_layer() {
    for (alias, name, value) in [
        ("compression.codec", "compression.type", "none"),
        ("topic.compression.codec", "compression.type", "none"),
        ("queue.buffering.max.ms", "linger.ms", "7"),
        ("fetch.message.max.bytes", "max.partition.fetch.bytes", "1000"),
        ("message.timeout.ms", "delivery.timeout.ms", "1000"),
        ("topic.delivery.timeout.ms", "delivery.timeout.ms", "1000"),
        ("sasl.mechanisms", "sasl.mechanism", "PLAIN"),
        ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret", "x"),
    ] {
        let entry = format!("{alias}={value}");
        let file = file(&format!("[kafka]\n\"{alias}\" = \"{value}\"\n"));
        let config = ["--config", file.path().to_str().unwrap()];
        for config in [
            run(&[KAFKA, &["--kafka", &entry]], &[]).kafka,
            run(&[KAFKA], &[("MAPPER_KAFKA", &entry)]).kafka,
            run(&[KAFKA, &config], &[]).kafka,
            generate(&["--brokers", "k", "--kafka", &entry], &[]).kafka,
        ] {
            assert_eq!(pairs(&config), [(name, value)]);
        }
        // The stronger layer overrides the other under any alias.
        let stronger = run(&[KAFKA, &config, &["--kafka", &format!("{name}=1")]], &[]);
        assert_eq!(pairs(&stronger.kafka), [(name, "1")]);
        let stronger = run(&[KAFKA, &config], &[("MAPPER_KAFKA", &format!("{name}=2"))]);
        assert_eq!(pairs(&stronger.kafka), [(name, "2")]);
    }
}

#[test]
fn aliases_of_one_property_with_different_values_are_refused() {
    let message = "flag --kafka: compression.codec and compression.type are names of one property, and are given different \
        values; give one of them";
    assert_eq!(refused(&["compression.codec=none", "compression.type=zstd"]), message);
    let same = run(&[KAFKA, &["--kafka", "compression.codec=none", "--kafka", "compression.type = none "]], &[]);
    assert_eq!(pairs(&same.kafka), [("compression.type", "none")]);
    assert_eq!(refused(&["linger.ms=1", "linger.ms=1"]), "flag --kafka: linger.ms is given twice");
    let secret =
        refused(&["sasl.oauthbearer.client.secret=hunter2", "sasl.oauthbearer.client.credentials.client.secret=x"]);
    assert!(secret.contains("different values") && !secret.contains(SECRET), "{secret}");
}

#[test]
fn properties_of_the_host_are_rejected_by_every_alias() {
    for alias in [
        "metadata.broker.list",
        "topic.request.required.acks",
        "request.required.acks",
        "topic.acks",
        " acks ",
        "max.in.flight",
        "message.send.max.retries",
        "auto.commit.enable",
        "topic.auto.commit.enable",
        "topic.enable.auto.commit",
        "topic.offset.store.method",
        "topic.queuing.strategy",
    ] {
        let message = refused(&[&format!("{alias}=1")]);
        assert!(message.contains(" belongs to the host: "), "{alias}: {message}");
    }
}

#[test]
fn surrounding_blanks_of_keys_and_values_are_trimmed() {
    let config =
        run(&[KAFKA], &[("MAPPER_KAFKA", " linger.ms = 7 \n\tcompression.codec\t= none\r\nsasl.password= a b \n")]);
    let expected = [("compression.type", "none"), ("linger.ms", "7"), ("sasl.password", " a b ")];
    assert_eq!(pairs(&config.kafka), expected);
}

#[test]
fn unknown_property_is_rejected_with_the_nearest_name_and_without_its_value() {
    for (key, hint) in [
        ("sasl.pasword", "sasl.pasword is not a property of librdkafka; did you mean sasl.password?"),
        ("sasl.passwrd", "sasl.passwrd is not a property of librdkafka; did you mean sasl.password?"),
        ("Sasl.Password", "Sasl.Password is not a property of librdkafka; did you mean sasl.password?"),
        ("COMPRESSION.TYPE", "COMPRESSION.TYPE is not a property of librdkafka; did you mean compression.type?"),
        ("unknown.to.us", "unknown.to.us is not a property of librdkafka; its CONFIGURATION.md lists them"),
        ("topic.client.id", "topic.client.id is not a property of librdkafka"),
    ] {
        let message = refused(&[&format!("{key}={SECRET}")]);
        assert!(message.starts_with(&format!("flag --kafka: {hint}")), "{message}");
        assert!(!message.contains(SECRET), "{message}");
        let file = file(&format!("[kafka]\n\"{key}\" = \"{SECRET}\"\n"));
        let message = wrong(&[KAFKA, &["--config", file.path().to_str().unwrap()]], &[]);
        assert!(message.contains(hint) && !message.contains(SECRET), "{message}");
    }
}

#[test]
fn parts_of_a_split_secret_are_not_shown() {
    let hint = "if a value has a ';' in it, put each entry on a line of its own, or use the file given with --config";
    let connection = "sasl.username=$ConnectionString;sasl.password=Endpoint=sb://ns.example.net/;SharedAccessKeyName=k;\
        SharedAccessKey=c2VjcmV0=";
    let message = wrong(&[KAFKA], &[("MAPPER_KAFKA", connection)]);
    assert!(message.contains("entry 3 has no property") && message.contains(hint), "{message}");
    let parts = ["SharedAccessKey", "c2VjcmV0", "Endpoint", "ns.example.net"];
    assert!(parts.iter().all(|part| !message.contains(part)), "{message}");
    for text in [
        "sasl.password=a;c2VjcmV0=;x=1",
        "sasl.password=a;c2VjcmV0",
        "sasl.password=a;c2.vjcm=",
        "linger.ms=1;hun=ter2",
    ] {
        let message = wrong(&[KAFKA], &[("MAPPER_KAFKA", text)]);
        assert!(message.contains("entry 2") && message.contains(hint), "{message}");
        assert!(!message.contains("c2") && !message.contains("hun"), "{message}");
    }
    let key = "ssl.key.pem=-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg==\n-----END PRIVATE KEY-----\n";
    let message = wrong(&[KAFKA], &[("MAPPER_KAFKA", key)]);
    assert_eq!(
        message,
        "variable MAPPER_KAFKA: entry 3 is not KEY=VALUE; a value of several lines goes into the file given with --config"
    );
    let message = wrong(&[KAFKA], &[("MAPPER_KAFKA", &key.replace("\n-----END", "="))]);
    assert!(message.contains("entry 2 has no property") && !message.contains("MIIE"), "{message}");

    // The form of the message is accepted.
    let lines = connection.replacen(";sasl", "\nsasl", 1);
    let config = run(&[KAFKA], &[("MAPPER_KAFKA", &lines)]);
    let password = "Endpoint=sb://ns.example.net/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0=";
    assert_eq!(pairs(&config.kafka), [("sasl.password", password), ("sasl.username", "$ConnectionString")]);

    for (variable, value) in [("MAPPER_SET", "token=hun;ter2"), ("MAPPER_SET", "token=a;c2VjcmV0=1;c2VjcmV0=2")] {
        let message = wrong(&[KAFKA], &[(variable, value)]);
        assert!(message.contains(hint) && !message.contains("ter2") && !message.contains("c2Vjc"), "{message}");
    }
}

#[test]
fn error_for_a_misplaced_argument_omits_its_value() {
    for arguments in [
        &["--kafka", "linger.ms=5", "sasl.password=hunter2"][..],
        &["--kafak=sasl.password=hunter2"],
        &["--kafka-password=hunter2"],
        &["-psasl.password=hunter2"],
        &["run", "sasl.password=hunter2"],
        &["--brokers", "sasl://me:hunter2@"],
        &["--admin", "http://me:hunter2@host:1"],
        &["--otlp-endpoint", "https://me:hunter2@host:1"],
    ] {
        let message = wrong(&[&["--plugin", "p"], arguments], &[]);
        assert!(!message.contains(SECRET), "{message}");
    }
    let message = wrong(&[&["bad\n\nerror: forged\u{1b}[2J"]], &[]);
    assert!(message.contains("bad\\n\\nerror: forged\\x1b[2J"), "{message}");
}

#[test]
fn properties_that_run_code_need_a_permission_flag() {
    for entry in [
        "plugin.library.paths=/tmp/x.so",
        "ssl.engine.location=/tmp/x.so",
        "ssl.engine.id=x",
        "ssl.providers=/tmp/x",
        "sasl.kerberos.kinit.cmd=touch /tmp/x",
        "sasl.kerberos.principal=a; touch /tmp/x",
        "sasl.kerberos.keytab=$(touch /tmp/x)",
    ] {
        let (key, value) = entry.split_once('=').unwrap();
        let message = refused(&[entry]);
        assert!(message.starts_with(&format!("flag --kafka: {key} is not allowed: ")), "{message}");
        assert!(message.ends_with("give --kafka-allow-code, too") && !message.contains("/tmp/x"), "{message}");
        let file = file(&format!("[kafka]\n\"{key}\" = \"{value}\"\n"));
        assert!(wrong(&[KAFKA, &["--config", file.path().to_str().unwrap()]], &[]).contains("--kafka-allow-code"));
        assert!(wrong(&[KAFKA], &[("MAPPER_KAFKA", &format!("\n{entry}\n"))]).contains("--kafka-allow-code"));
        for config in [
            run(&[KAFKA, &["--kafka", entry, "--kafka-allow-code"]], &[]),
            run(&[KAFKA, &["--kafka", entry]], &[("MAPPER_KAFKA_ALLOW_CODE", "true")]),
        ] {
            assert_eq!(pairs(&config.kafka), [(key, value)]);
        }
    }
    for entry in ["error_cb=x", "opaque=1", "ssl_key=x", "rebalance_cb=x", "interceptors=x"] {
        let message = wrong(&[KAFKA, &["--kafka-allow-code", "--kafka", entry]], &[]);
        assert!(message.ends_with("it is a function or a pointer and has no text form"), "{message}");
    }
    // Only a loaded library can have other properties.
    let arguments = ["--kafka-allow-code", "--kafka", "plugin.library.paths=x", "--kafka", "my.interceptor=1"];
    assert_eq!(run(&[KAFKA, &arguments], &[]).kafka.len(), 2);
    assert!(wrong(&[KAFKA, &["--kafka-allow-code", "--kafka", "my.interceptor=1"]], &[]).contains("not a property"));
}

#[test]
fn timeouts_of_the_user_and_of_the_host_are_consistent() {
    let shorter = run(&[KAFKA, &["--kafka", "max.poll.interval.ms=20000"]], &[]);
    assert_eq!(shorter.session_timeout.as_secs(), 20);
    for (entry, longest) in [
        ("delivery.timeout.ms=60000", "30000"),
        ("message.timeout.ms=60000", "30000"),
        ("socket.timeout.ms=60000", "30100"),
    ] {
        let message = refused(&[entry]);
        assert!(message.contains("--transaction-timeout (30s)") && message.contains(longest), "{message}");
        run(&[KAFKA, &["--kafka", entry, "--transaction-timeout", "1m"]], &[]);
        run(&[KAFKA, &["--kafka", entry, "--delivery", "at-least-once"]], &[]);
    }
}

#[test]
fn timeouts_of_a_redrive_are_consistent() {
    let redrive = ["dlq", "redrive", "--brokers", "localhost:9092", "--plugin", "m.wasm"];
    for (given, part) in [
        (&["--commit-interval", "30s"][..], "give less than --transaction-timeout (30s)"),
        (&["--kafka", "delivery.timeout.ms=60000"], "longer than --transaction-timeout (30s)"),
    ] {
        let message = wrong(&[&redrive, given], &[]);
        assert!(message.contains(part), "{message}");
        assert!(parsed(&[&redrive[..], given, &["--transaction-timeout", "1m"]].concat(), &[]).is_ok());
    }
}

#[test]
fn variables_of_a_kubernetes_service_are_not_settings() {
    let variables = [
        ("MAPPER_SERVICE_HOST", "10.0.0.1"),
        ("MAPPER_SERVICE_PORT", "80"),
        ("MAPPER_SERVICE_PORT_HTTP", "80"),
        ("MAPPER_PORT", "tcp://10.0.0.1:80"),
        ("MAPPER_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("MAPPER_PORT_80_TCP_PROTO", "tcp"),
        ("MAPPER_PORT_80_TCP_PORT", "80"),
        ("MAPPER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("MAPPER_ADMIN_PORT", "tcp://10.0.0.2:8080"),
        ("MAPPER_KAFKA_SERVICE_HOST", "fd00::1"),
        ("MAPPER_ADMIN", "off"),
    ];
    assert_eq!(run_config(&[KAFKA], &variables).admin, None);
    assert_eq!(
        wrong(&[KAFKA], &[("MAPPER_ADMIN_PORT", "8080")]),
        "variable MAPPER_ADMIN_PORT: there is no such setting; variables that start with MAPPER_ are settings, see mapper-host run --help"
    );
}

#[test]
fn only_pairs_can_contain_secrets() {
    let config = run(&[KAFKA, &["--set", "token=hunter2", "--kafka", "sasl.password=hunter2"]], &[]);
    assert!(!format!("{config:?}").contains(SECRET));
    assert_eq!(RUN.iter().filter(|setting| setting.kind == Kind::Pairs).count(), 2);
}
