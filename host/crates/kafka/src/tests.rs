//! The properties of our clients, checked by the librdkafka that is linked: no broker is needed.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::ThreadedProducer;
use rdkafka_sys as sys;

use super::client::{KafkaSettings, Quiet};
use super::deliveries::Deliveries;
use crate::properties::{self, Form};
use mapper_core::decision::Routes;
use mapper_core::delivery::Delivery;
use mapper_core::pairs::Pairs;

fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
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
    [settings.asking(), settings.consumer(), settings.producer(Some("t"), Some(&routes))]
}

/// Makes all clients with these properties of the user, and returns what they have in the end.
fn made(properties: &[(&str, &str)]) -> [ClientConfig; 3] {
    let settings = settings(properties);
    let configs = clients(&settings);
    let made = |error| panic!("{properties:?}: {error}");
    for config in &configs[..2] {
        BaseConsumer::from_config_and_context(config, Quiet::default()).unwrap_or_else(made);
    }
    ThreadedProducer::from_config_and_context(&configs[2], Deliveries::default())
        .map(|_: ThreadedProducer<Deliveries>| ())
        .unwrap_or_else(|error| panic!("{properties:?}: {error}"));
    configs
}

#[test]
fn every_property_of_librdkafka_is_in_the_table() {
    let mut names = BTreeSet::new();
    // SAFETY: each configuration is dumped while it is alive, the arrays have as many strings as is said, and each is freed once.
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
fn names_of_the_table_are_known_to_librdkafka_and_aliases_set_the_same_property() {
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
    // A number that one has, each of its aliases has, too.
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
fn properties_of_the_host_have_no_alias_among_them() {
    for config in clients(&settings(&[])) {
        for name in config.config_map().keys() {
            assert_eq!(properties::find(name).map(|property| property.name), Some(*name));
        }
    }
}

#[test]
fn clients_are_made_whatever_the_user_sets_beside_the_properties_of_the_host() {
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
        for config in made(properties) {
            for (key, value) in properties {
                assert_eq!(config.get(key), Some(*value), "the value of the user stays");
            }
        }
    }
}

#[test]
fn properties_of_the_host_follow_those_of_the_user() {
    let [_, consumer, _] = made(&[("message.max.bytes", "5000000")]);
    assert_eq!(consumer.get("fetch.max.bytes"), Some("5000000"));
    let [_, consumer, _] = made(&[("receive.message.max.bytes", "2000000")]);
    assert_eq!(consumer.get("fetch.max.bytes"), Some("1999488"));
    let [asking, ..] = made(&[("reconnect.backoff.ms", "5000")]);
    assert_eq!(asking.get("reconnect.backoff.max.ms"), Some("5000"));
    let [.., producer] = made(&[("delivery.timeout.ms", "3")]);
    assert_eq!(producer.get("linger.ms"), Some("2"));
    // Without a word of the user nothing changes.
    let [_, consumer, producer] = made(&[]);
    assert_eq!(consumer.get("fetch.max.bytes"), Some("4194304"));
    assert_eq!(producer.get("linger.ms"), Some("5"));
}

#[test]
fn messages_have_no_secrets() {
    let settings = settings(&[("sasl.password", "hunter2"), ("linger.ms", "1000"), ("sasl.passwrd", "hunter3")]);
    assert!(!format!("{settings:?}").contains("hunter"));
    assert_eq!(settings.without_secrets("hunter2, hunter3 and 1000"), "…, … and 1000");
}

#[test]
fn added_partitions_are_noticed_within_half_a_minute_unless_the_user_says_otherwise() {
    let refresh = |properties: &[(&str, &str)]| {
        made(properties).map(|config| config.get("topic.metadata.refresh.interval.ms").map(str::to_owned))
    };
    assert!(refresh(&[]).iter().all(|interval| interval.as_deref() == Some("30000")));
    let users = refresh(&[("topic.metadata.refresh.interval.ms", "1000")]);
    assert!(users.iter().all(|interval| interval.as_deref() == Some("1000")), "{users:?}");
}

#[test]
fn a_consumer_never_skips_an_offset_by_itself() {
    let [_, consumer, _] = made(&[("auto.offset.reset", "latest"), ("debug", "cgrp")]);
    assert_eq!(consumer.get("auto.offset.reset"), Some("error"));
    // Its own debug messages are needed to notice another topic of the same name.
    assert_eq!(consumer.get("debug"), Some("cgrp,metadata"));
}
