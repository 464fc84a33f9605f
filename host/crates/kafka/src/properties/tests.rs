//! The table of properties is consistent, and `find` knows each name.

use std::collections::BTreeSet;

use super::*;

#[test]
fn table_is_sorted_and_unique_and_aliases_refer_to_properties() {
    let names: Vec<_> = PROPERTIES.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    for (alias, name) in ALIASES {
        assert!(names.contains(&name) && !names.contains(&alias), "{alias}");
    }
    let known: BTreeSet<_> = names.into_iter().collect();
    assert!(TOPIC_PROPERTIES.iter().all(|name| known.contains(name)));
    assert!(OWNED.iter().flat_map(|(names, _)| *names).all(|name| known.contains(name)));
    assert!(IN_COMMAND.iter().all(|name| known.contains(name)));
}

#[test]
fn property_is_found_by_alias_and_topic_prefix() {
    for (name, property) in [
        ("compression.type", "compression.type"),
        ("compression.codec", "compression.type"),
        ("topic.compression.codec", "compression.type"),
        ("topic.acks", "acks"),
        ("topic.request.required.acks", "acks"),
        ("topic.metadata.refresh.interval.ms", "topic.metadata.refresh.interval.ms"),
        ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ] {
        assert_eq!(find(name).map(|property| property.name), Some(property), "{name}");
    }
    for name in ["", "topic.", "topic.client.id", "topic.topic.acks", "Acks", "acks ", "sasl.pasword"] {
        assert_eq!(find(name), None, "{name}");
    }
}

#[test]
fn value_is_shown_only_if_it_cannot_be_a_secret() {
    let hidden: Vec<_> = PROPERTIES
        .iter()
        .map(|(name, form)| Property { name, form: *form })
        .filter(|property| property.name.starts_with("sasl.") || property.name.contains("ssl."))
        .collect();
    assert!(hidden.len() > 40 && hidden.iter().all(|property| !property.shows("hunter2")), "{hidden:?}");
    for (name, value) in [("linger.ms", "5"), ("compression.codec", "zst"), ("enable.metrics.push", "true")] {
        assert!(find(name).unwrap().shows(value), "{name}");
    }
    assert!(!find("linger.ms").unwrap().shows("hunter2"));
}

#[test]
fn value_that_runs_code_is_detected() {
    for name in
        ["plugin.library.paths", "ssl.engine.location", "ssl.engine.id", "ssl.providers", "sasl.kerberos.kinit.cmd"]
    {
        assert!(find(name).unwrap().runs_code("x").is_some(), "{name}");
    }
    for name in IN_COMMAND {
        let property = find(name).unwrap();
        assert_eq!(property.runs_code("kafka/host.example.com@REALM"), None);
        for value in ["a; touch x", "$(touch x)", "`x`", "a\"b", "a b", "a\nb", "a|b", "a&b"] {
            assert!(property.runs_code(value).is_some(), "{name}={value}");
        }
    }
    assert_eq!(find("ssl.ca.location").unwrap().runs_code("/ca.pem; x"), None);
}
