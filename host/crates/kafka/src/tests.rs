//! The properties of the clients, checked by the linked librdkafka. The tests need no broker.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::ThreadedProducer;
use rdkafka_sys as sys;

use super::client::{ConnectionContext, KafkaSettings};
use super::deliveries::Deliveries;
use crate::properties::{self, Form};
use mapper_core::decision::Routes;
use mapper_core::delivery::Delivery;
use mapper_core::pairs::Pairs;

pub(crate) fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
    let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    KafkaSettings {
        brokers: "127.0.0.1:1".to_owned(),
        group: "g".to_owned(),
        delivery: Delivery::ExactlyOnce,
        properties: Pairs(properties),
        transaction_timeout: Duration::from_secs(30),
        session_timeout: Duration::from_secs(45),
        workers: 2,
    }
}

fn clients(settings: &KafkaSettings) -> [ClientConfig; 3] {
    let routes = Routes::with_default_limits(&["o"], "d");
    [settings.query_client(), settings.consumer(), settings.producer(Some("t"), Some(&routes))]
}

/// Creates all clients with these properties of the user, and returns their configurations.
fn create_clients(properties: &[(&str, &str)]) -> [ClientConfig; 3] {
    let settings = settings(properties);
    let configs = clients(&settings);
    let failed = |error| panic!("{properties:?}: {error}");
    for config in &configs[..2] {
        BaseConsumer::from_config_and_context(config, ConnectionContext::default()).unwrap_or_else(failed);
    }
    ThreadedProducer::from_config_and_context(&configs[2], Deliveries::default())
        .map(|_: ThreadedProducer<Deliveries>| ())
        .unwrap_or_else(|error| panic!("{properties:?}: {error}"));
    configs
}

#[test]
fn every_property_of_librdkafka_is_in_the_table() {
    let mut names = BTreeSet::new();
    // SAFETY: each configuration is dumped while it is alive. The arrays have `count` strings, and each is freed once.
    unsafe {
        let mut count = 0;
        let mut collect = |dump: *mut *const std::ffi::c_char, count: usize| {
            names.extend(
                (0..count).step_by(2).map(|index| CStr::from_ptr(*dump.add(index)).to_str().unwrap().to_owned()),
            );
            sys::rd_kafka_conf_dump_free(dump, count);
        };
        let conf = sys::rd_kafka_conf_new();
        let dump = sys::rd_kafka_conf_dump(conf, &mut count);
        collect(dump, count);
        sys::rd_kafka_conf_destroy(conf);
        let conf = sys::rd_kafka_topic_conf_new();
        let dump = sys::rd_kafka_topic_conf_dump(conf, &mut count);
        collect(dump, count);
        sys::rd_kafka_topic_conf_destroy(conf);
    }
    assert!(names.len() > 100, "{names:?}");
    let unknown: Vec<_> = names.iter().filter(|name| properties::find(name).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn librdkafka_knows_all_names_and_aliases_set_the_same_property() {
    // SAFETY: the configuration and the strings are alive during each call, and it is destroyed once.
    let set = |name: &str, value: &str| unsafe {
        let conf = sys::rd_kafka_conf_new();
        let (name, value) = (CString::new(name).unwrap(), CString::new(value).unwrap());
        let result = sys::rd_kafka_conf_set(conf, name.as_ptr(), value.as_ptr(), std::ptr::null_mut(), 0);
        sys::rd_kafka_conf_destroy(conf);
        result
    };
    for name in properties::names().filter(|name| properties::find(name).unwrap().form != Form::Callback) {
        assert_ne!(set(name, "1"), sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN, "{name}");
    }
    // A value that an alias sets is the value of its property.
    for (alias, name, value) in [
        ("queue.buffering.max.ms", "linger.ms", "17"),
        ("fetch.message.max.bytes", "max.partition.fetch.bytes", "1717"),
        ("compression.codec", "compression.type", "gzip"),
        ("sasl.mechanisms", "sasl.mechanism", "PLAIN"),
        ("metadata.broker.list", "bootstrap.servers", "k:1"),
        ("max.in.flight", "max.in.flight.requests.per.connection", "3"),
        ("message.send.max.retries", "retries", "7"),
    ] {
        let mut config = ClientConfig::new();
        config.set(alias, value);
        let native = config.create_native_config().unwrap();
        assert_eq!(native.get(properties::find(alias).unwrap().name).unwrap(), value);
        assert_eq!(native.get(name).unwrap(), value);
    }
}

#[test]
fn properties_of_the_host_are_no_aliases() {
    for config in clients(&settings(&[])) {
        for name in config.config_map().keys() {
            assert_eq!(properties::find(name).map(|property| property.name), Some(*name));
        }
    }
}

#[test]
fn clients_accept_properties_of_the_user_beside_those_of_the_host() {
    for properties in [
        &[][..],
        &[("message.max.bytes", "5000000")],
        &[("message.max.bytes", "50000000")],
        &[("message.max.bytes", "1000")],
        &[("fetch.max.bytes", "100000")],
        &[("fetch.max.bytes", "1000"), ("max.partition.fetch.bytes", "900")],
        &[("max.partition.fetch.bytes", "20000000")],
        &[("receive.message.max.bytes", "2000000")],
        &[("receive.message.max.bytes", "200000000"), ("message.max.bytes", "150000000")],
        &[("queued.max.messages.kbytes", "64")],
        &[("queued.min.messages", "1")],
        &[("reconnect.backoff.ms", "5000")],
        &[("reconnect.backoff.max.ms", "50")],
        &[("delivery.timeout.ms", "5")],
        &[("delivery.timeout.ms", "1")],
        &[("delivery.timeout.ms", "0")],
        &[("linger.ms", "1000")],
        &[("batch.size", "100"), ("message.max.bytes", "2000")],
        &[("batch.size", "10000000")],
        &[("batch.num.messages", "1")],
        &[("queue.buffering.max.messages", "1"), ("queue.buffering.max.kbytes", "1")],
        &[("group.protocol", "consumer")],
        &[("partition.assignment.strategy", "range")],
        &[("heartbeat.interval.ms", "40000")],
        &[("compression.type", "none")],
        &[("socket.timeout.ms", "10000")],
    ] {
        for config in create_clients(properties) {
            for (key, value) in properties {
                assert_eq!(config.get(key), Some(*value), "the client keeps the value of the user");
            }
        }
    }
}

#[test]
fn properties_of_the_host_adapt_to_those_of_the_user() {
    let [_, consumer, _] = create_clients(&[("message.max.bytes", "5000000")]);
    assert_eq!(consumer.get("fetch.max.bytes"), Some("5000000"));
    let [_, consumer, _] = create_clients(&[("receive.message.max.bytes", "2000000")]);
    assert_eq!(consumer.get("fetch.max.bytes"), Some("1999488"));
    let [query, ..] = create_clients(&[("reconnect.backoff.ms", "5000")]);
    assert_eq!(query.get("reconnect.backoff.max.ms"), Some("5000"));
    let [.., producer] = create_clients(&[("delivery.timeout.ms", "3")]);
    assert_eq!(producer.get("linger.ms"), Some("2"));
    // The defaults, without properties of the user.
    let [_, consumer, producer] = create_clients(&[]);
    assert_eq!(consumer.get("fetch.max.bytes"), Some("4194304"));
    assert_eq!(producer.get("linger.ms"), Some("5"));
}

#[test]
fn messages_are_redacted() {
    let settings = settings(&[("sasl.password", "hunter2"), ("linger.ms", "1000"), ("sasl.passwrd", "hunter3")]);
    assert!(!format!("{settings:?}").contains("hunter"));
    assert_eq!(settings.redact("hunter2, hunter3 and 1000"), "…, … and 1000");
}

#[test]
fn metadata_refresh_is_30_seconds_unless_the_user_sets_it() {
    let refresh = |properties: &[(&str, &str)]| {
        create_clients(properties).map(|config| config.get("topic.metadata.refresh.interval.ms").map(str::to_owned))
    };
    assert!(refresh(&[]).iter().all(|interval| interval.as_deref() == Some("30000")));
    let users = refresh(&[("topic.metadata.refresh.interval.ms", "1000")]);
    assert!(users.iter().all(|interval| interval.as_deref() == Some("1000")), "{users:?}");
}

#[test]
fn consumer_never_resets_an_offset_by_itself() {
    let [_, consumer, _] = create_clients(&[("auto.offset.reset", "latest"), ("debug", "cgrp")]);
    assert_eq!(consumer.get("auto.offset.reset"), Some("error"));
    // A debug message of the client reports a recreated topic.
    assert_eq!(consumer.get("debug"), Some("cgrp,metadata"));
}
