//! Failed connections to Kafka: the error names the cause once, and soon if waiting can't help.

use harness::host::Job;
use harness::secure::PASSWORD;
use harness::topics::{self, NewRecord};

use crate::secure::{logged_in, login, secure, trusting};
use crate::{HOST, reduce_visit};

/// A timeout that fails the test.
const NEVER: &str = "30m";

#[test]
fn cause_of_a_failed_connection_is_named_first() {
    let secure = secure();
    let plain = secure.kafka().brokers();
    let port_of = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
    let by_number = format!("127.0.0.1:{}", port_of(&secure.tls));
    let by_number_sasl = format!("127.0.0.1:{}", port_of(&secure.sasl_tls));
    let with = |more: &[&str], base: Vec<String>| -> Vec<String> {
        base.into_iter()
            .chain(more.iter().flat_map(|property| ["--kafka".to_owned(), (*property).to_owned()]))
            .collect()
    };
    let ca = format!("ssl.ca.location={}", secure.ca.display());
    let sasl_tls = |password: &str| {
        let login = login("tls", password).into_iter().filter(|property| !property.starts_with("security.protocol"));
        // The flag of an omitted property is removed, too.
        let login: Vec<String> = login.skip(1).collect();
        with(&["security.protocol=sasl_ssl", &ca], login)
    };
    let kafka = |property: &str| with(&[property], Vec::new());
    let rows: Vec<(&str, &str, Vec<String>, &str, &str)> = vec![
        ("password", &secure.sasl, login("tls", "wrong"), NEVER, "wrong password: SASL authentication failed"),
        (
            "user",
            &secure.sasl,
            login("stranger", PASSWORD),
            NEVER,
            "wrong password: SASL authentication failed, or there is no such user",
        ),
        (
            "mechanism",
            &secure.sasl,
            login("tls", PASSWORD).into_iter().map(|property| property.replace("PLAIN", "SCRAM-SHA-256")).collect(),
            NEVER,
            "wrong SASL mechanism",
        ),
        ("no SASL at a SASL port", &secure.sasl, Vec::new(), "10s", "this port requires SASL authentication"),
        ("SASL at a port without", plain, login("tls", PASSWORD), NEVER, "this port does not use SASL"),
        ("TLS at a port without", plain, kafka("security.protocol=ssl"), NEVER, "this port does not speak TLS"),
        ("no TLS at a TLS port", &secure.tls, Vec::new(), "15s", "this port speaks TLS"),
        ("SASL without TLS at a TLS port", &secure.sasl_tls, login("tls", PASSWORD), "15s", "this port speaks TLS"),
        ("unknown CA", &secure.tls, kafka("security.protocol=ssl"), NEVER, "certificate is not trusted"),
        ("another name", &by_number, trusting(&secure.ca, "ssl"), NEVER, "host name mismatch"),
        ("another name, with SASL", &by_number_sasl, sasl_tls(PASSWORD), NEVER, "host name mismatch"),
        (
            "password within TLS",
            &secure.sasl_tls,
            sasl_tls("wrong"),
            NEVER,
            "wrong password: SASL authentication failed",
        ),
        ("no such host", "no-such-host.invalid:9092", Vec::new(), "1s", "cannot resolve the host name"),
        ("nobody listens", "127.0.0.1:1", Vec::new(), "1s", "connection refused"),
    ];
    let job = Job::new(secure.kafka(), "connecting", HOST, &reduce_visit());
    let started: Vec<_> = rows
        .into_iter()
        .map(|(mistake, brokers, properties, timeout, cause)| {
            let args = ["--brokers", brokers, "--connect-timeout", timeout];
            let args: Vec<&str> = args.into_iter().chain(properties.iter().map(String::as_str)).collect();
            (mistake, cause, job.start(&args))
        })
        .collect();
    for (mistake, cause, host) in started {
        let ended = host.wait();
        assert_eq!(ended.code, Some(4), "{mistake}: {}", ended.output);
        let error = ended.output.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(error.contains(cause), "{mistake}: {}", ended.output);
        assert!(!ended.output.contains(PASSWORD), "{mistake}: {}", ended.output);
        let warnings = ended.output.lines().filter(|line| line.contains(" WARN ")).count();
        assert!(warnings <= 3, "{mistake}: {warnings} warnings:\n{}", ended.output);
    }
}

#[test]
fn records_go_through_each_security_protocol() {
    let secure = secure();
    use harness::secure::{Operation, Resource};
    let job = Job::new(secure.kafka(), "protocols", HOST, &reduce_visit());
    for topic in [&job.input, &job.output, &job.dead_letters] {
        secure.allow("tls", Resource::Topic(topic), &[Operation::RD_KAFKA_ACL_OPERATION_ALL]);
    }
    secure.allow("tls", Resource::Group(&job.group), &[Operation::RD_KAFKA_ACL_OPERATION_ALL]);
    secure.allow("tls", Resource::TransactionalIds("tls"), &[Operation::RD_KAFKA_ACL_OPERATION_ALL]);
    let tls = trusting(&secure.ca, "ssl");
    let both: Vec<String> =
        logged_in("tls").into_iter().map(|property| property.replace("sasl_plaintext", "sasl_ssl")).collect();
    let both = [both, vec!["--kafka".to_owned(), format!("ssl.ca.location={}", secure.ca.display())]].concat();
    for (count, (brokers, properties)) in
        [(&secure.sasl, logged_in("tls")), (&secure.tls, tls), (&secure.sasl_tls, both)].into_iter().enumerate()
    {
        topics::produce(secure.kafka(), &job.input, [NewRecord::value("not a visit")]);
        let args = ["--brokers", brokers, "--transactional-id", "tls", "--until-end"];
        let args: Vec<&str> = args.into_iter().chain(properties.iter().map(String::as_str)).collect();
        let ended = job.start(&args).wait();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        assert_eq!(topics::read_all(job.kafka, &job.dead_letters).len(), count + 1);
    }
}

#[test]
fn broker_address_that_is_a_url_is_rejected_before_any_io() {
    let job = Job::new(harness::kafka::Kafka::shared(), "urls", HOST, &reduce_visit());
    for url in ["kafka://localhost:9092", "http://localhost:9092/"] {
        let ended = job.start(&["--brokers", url]).wait();
        assert_eq!(ended.code, Some(2), "{}", ended.output);
        assert!(ended.output.contains("not a URL; give 'localhost:9092'"), "{}", ended.output);
    }
}
