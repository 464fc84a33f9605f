//! The list of brokers, checked without I/O.

use super::values::Read;

/// The protocols that librdkafka accepts before an address. It ignores an address whose protocol differs from its property
/// security.protocol.
const PROTOCOLS: [&str; 4] = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
const EXAMPLE: &str = "give a list such as kafka-1:9092,kafka-2:9092";

/// A list of brokers without blanks. Their existence is not checked.
pub(crate) fn brokers(text: &str) -> Read<String> {
    let brokers: Vec<&str> = text.split(',').map(str::trim).collect();
    brokers.iter().try_for_each(|broker| check(broker))?;
    Ok(brokers.join(","))
}

/// The error if an address names another protocol than the librdkafka properties.
pub(crate) fn mismatch(brokers: &str, properties: &[(String, String)]) -> Option<String> {
    let set = properties.iter().find(|(key, _)| key == "security.protocol").map_or("plaintext", |(_, value)| value);
    let protocols = brokers.split(',').filter_map(|broker| broker.split_once("://")).map(|(protocol, _)| protocol);
    let other = protocols.map(str::to_ascii_lowercase).find(|protocol| !protocol.eq_ignore_ascii_case(set))?;
    Some(format!(
        "an address has the protocol {other}, but the property security.protocol is {set}; give --kafka security.protocol={other}, or \
         the address without a protocol"
    ))
}

fn check(broker: &str) -> Read<()> {
    let address = match broker.split_once("://") {
        Some((protocol, address)) if PROTOCOLS.contains(&protocol.to_ascii_lowercase().as_str()) => address,
        Some((_, address)) => {
            // The path and the user of a URL are not a part of a broker address. The message does not contain them, because a
            // password may be in them.
            let host = address.split(['/', '?', '#']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            let remedy = if is_address(host) { format!("'{}'", with_port(host)) } else { "host:port".to_owned() };
            return Err(format!("a broker's address is host:port, not a URL; give {remedy}"));
        }
        None => broker,
    };
    if is_address(address) {
        return Ok(());
    }
    if !address.starts_with('[') && address.matches(':').count() > 1 {
        // The message does not contain the address, because a password may be in it.
        return Err("an address has too many colons; write an IPv6 address in brackets, as in [::1]:9092".to_owned());
    }
    Err(EXAMPLE.to_owned())
}

/// Whether it is host:port, or a host, for which librdkafka uses the port 9092.
fn is_address(address: &str) -> bool {
    // Colons within brackets are those of an IPv6 address.
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or_default())),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let named =
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#[]\\".contains(c));
    named && port.is_none_or(|port| port.parse().is_ok_and(|port: u16| port > 0))
}

fn with_port(address: &str) -> String {
    let after_host = address.rfind(']').unwrap_or(0);
    if address[after_host..].contains(':') { address.to_owned() } else { format!("{address}:9092") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_a_list_of_addresses_are_removed() {
        for (text, expected) in [
            ("localhost:9092", "localhost:9092"),
            ("localhost", "localhost"),
            ("kafka-1:9092 , kafka-2:9093", "kafka-1:9092,kafka-2:9093"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:9092,[fe80::1%eth0]:65535", "[::1]:9092,[fe80::1%eth0]:65535"),
            ("under_score.internal:9092", "under_score.internal:9092"),
            ("SASL_SSL://kafka:9092", "SASL_SSL://kafka:9092"),
        ] {
            assert_eq!(brokers(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid_address_is_refused_with_the_form_to_use() {
        for (text, remedy) in [
            ("kafka://localhost:9092", "give 'localhost:9092'"),
            ("http://kafka-1", "give 'kafka-1:9092'"),
            ("HTTPS://kafka-1/", "give 'kafka-1:9092'"),
            ("tcp://10.0.0.1:9092/path?query", "give '10.0.0.1:9092'"),
            ("a:9092,kafka+ssl://user@b:9093", "give 'b:9093'"),
            ("kafka://[::1]", "give '[::1]:9092'"),
            ("://x:9092", "give 'x:9092'"),
            ("kafka://", "give host:port"),
            ("ssl://", EXAMPLE),
            ("::1:9092", "write an IPv6 address in brackets"),
            ("localhost:9092:9093", "too many colons"),
            ("localhost:", EXAMPLE),
            ("localhost:0", EXAMPLE),
            ("localhost:65536", EXAMPLE),
            ("localhost:9092/topic", EXAMPLE),
            ("local host:9092", EXAMPLE),
            ("user@host:9092", EXAMPLE),
            ("[::1]9092", EXAMPLE),
            (":9092", EXAMPLE),
            ("localhost:9092,,other:9092", EXAMPLE),
            ("localhost:9092,", EXAMPLE),
        ] {
            let refused = brokers(text).expect_err(text);
            assert!(refused.contains(remedy), "{text}: {refused}");
        }
    }

    #[test]
    fn credentials_before_an_address_are_in_no_message() {
        for text in ["user:s3cret@host:9092", "a:1,u:s3cret@b:2:3", "kafka://user:s3cret@host", "s3cret:x:y"] {
            assert!(!brokers(text).expect_err(text).contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn protocol_of_an_address_must_be_that_of_the_properties() {
        let ssl = [("security.protocol".to_owned(), "SSL".to_owned())];
        assert_eq!(mismatch("a:1,b:2", &ssl), None);
        assert_eq!(mismatch("ssl://a:1", &ssl), None);
        assert_eq!(mismatch("PLAINTEXT://a:1", &[]), None);
        assert!(mismatch("a:1,SASL_SSL://b:2", &ssl).is_some_and(|why| why.contains("security.protocol=sasl_ssl")));
        assert!(mismatch("ssl://a:1", &[]).is_some_and(|why| why.contains("security.protocol is plaintext")));
    }
}
