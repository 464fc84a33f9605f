//! Variables that Kubernetes sets in every container, for each Service of its namespace: "service links".
//!
//! With a Service called `mapper` or `mapper-…`, their names start like those of the settings. Their form is fixed
//! (`pkg/kubelet/envvars/envvars.go` of Kubernetes), so the host still detects misspelt settings.

use std::net::IpAddr;

use super::settings::VARIABLE_PREFIX;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether this is a service link of a Service whose variables have the prefix of the settings.
pub(super) fn is_one(name: &str, value: &str) -> bool {
    // The rest of `MAPPER_PORT` is `PORT`, that of `MAPPER_ADMIN_PORT` is `ADMIN_PORT`.
    let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { return false };
    let starts = rest.match_indices('_').map(|(at, _)| at + 1);
    [0].into_iter().chain(starts).any(|start| is_link(&rest[start..], value))
}

/// What follows the name of the Service: `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_<PORT NAME>`, `PORT`, `PORT_<N>_<PROTOCOL>`, and
/// that with `_PROTO`, `_PORT` or `_ADDR`.
fn is_link(kind: &str, value: &str) -> bool {
    if kind == "SERVICE_HOST" {
        return value.parse::<IpAddr>().is_ok();
    }
    if kind == "SERVICE_PORT" || kind.strip_prefix("SERVICE_PORT_").is_some_and(|name| !name.is_empty()) {
        return is_port(value);
    }
    let Some(kind) = kind.strip_prefix("PORT") else { return false };
    if kind.is_empty() {
        return is_url(value);
    }
    let mut parts = kind.split('_').skip(1);
    let (Some(port), Some(protocol), part, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    kind.starts_with('_')
        && is_port(port)
        && PROTOCOLS.contains(&protocol)
        && match part {
            None => is_url(value),
            Some("PROTO") => value.eq_ignore_ascii_case(protocol),
            Some("PORT") => is_port(value),
            Some("ADDR") => value.parse::<IpAddr>().is_ok(),
            Some(_) => false,
        }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// As `tcp://10.0.0.1:80`.
fn is_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(protocol, address)| {
        PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol))
            && address.rsplit_once(':').is_some_and(|(host, port)| {
                let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                host.parse::<IpAddr>().is_ok() && is_port(port)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::super::settings::{BENCH, MAP, REMOTE, TEST, WATCH, all};
    use super::*;

    /// What Kubernetes sets for a Service with two ports, one of them named.
    const LINKS: [(&str, &str); 14] = [
        ("SERVICE_HOST", "10.0.0.1"),
        ("SERVICE_HOST", "fd00::1"),
        ("SERVICE_PORT", "80"),
        ("SERVICE_PORT_HTTP", "80"),
        ("SERVICE_PORT_ADMIN_API", "8080"),
        ("PORT", "tcp://10.0.0.1:80"),
        ("PORT", "tcp://[fd00::1]:80"),
        ("PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("PORT_80_TCP_PROTO", "tcp"),
        ("PORT_80_TCP_PORT", "80"),
        ("PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PORT_53_UDP", "udp://10.0.0.1:53"),
        ("PORT_53_UDP_PROTO", "udp"),
        ("PORT_9_SCTP_ADDR", "fd00::1"),
    ];

    #[test]
    fn service_links_are_detected_for_every_service_name() {
        for (kind, value) in LINKS {
            for service in ["MAPPER", "MAPPER_ADMIN", "MAPPER_KAFKA", "MAPPER_INPUT_TOPIC", "MAPPER_PORT", "MAPPER_1"] {
                assert!(is_one(&format!("{service}_{kind}"), value), "{service}_{kind}={value}");
            }
        }
        assert!(!is_one("OTHER_PORT", "tcp://10.0.0.1:80"));
    }

    #[test]
    fn misspelt_settings_are_not_service_links() {
        for (name, value) in [
            ("MAPPER_WORKER", "2"),
            ("MAPPER_PORT", "8080"),
            ("MAPPER_ADMIN_PORT", "8080"),
            ("MAPPER_ADMIN_PORT", "0.0.0.0:8080"),
            ("MAPPER_SERVICE_HOST", "example.org"),
            ("MAPPER_SERVICE_NAME", "x"),
            ("MAPPER_PORTS", "tcp://10.0.0.1:80"),
            ("MAPPER_PORT_80", "tcp://10.0.0.1:80"),
            ("MAPPER_PORT_80_TCP_HOST", "10.0.0.1"),
            ("MAPPER_PORT_X_TCP", "tcp://10.0.0.1:80"),
            ("MAPPER_BROKER", "tcp://10.0.0.1:80"),
        ] {
            assert!(!is_one(name, value), "{name}={value}");
        }
    }

    #[test]
    fn no_setting_has_the_name_of_a_service_link() {
        let tables = [&*TEST, &*MAP, &*BENCH, &*WATCH, &*REMOTE];
        for setting in all().chain(tables.into_iter().flatten()) {
            for value in LINKS.map(|(_, value)| value) {
                assert!(!is_one(&setting.variable(), value), "{}", setting.name);
            }
        }
    }
}
