//! Finds the cause of failed connections in the messages of librdkafka.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

/// A cause of failed connections, the most specific one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    WrongPassword,
    WrongMechanism,
    NoSasl,
    ClientCertificate,
    CertificateName,
    CertificateUntrusted,
    PortWithoutTls,
    PortWithTls,
    SaslRequired,
    Tls,
    UnknownHost,
    ConnectionRefused,
    Unreachable,
    Disconnected,
}

/// Texts of librdkafka and OpenSSL for each cause. The first text that a message contains decides.
const TEXTS: &[(&str, Cause)] = &[
    // The broker refuses the mechanism before the client sends a password.
    ("unsupported sasl mechanism", Cause::WrongMechanism),
    ("not valid in current sasl state", Cause::NoSasl),
    ("sasl authentication error", Cause::WrongPassword),
    ("sasl authentication failure", Cause::WrongPassword),
    ("sasl scram", Cause::WrongPassword),
    ("connecting to a plaintext broker listener", Cause::PortWithoutTls),
    ("wrong version number", Cause::PortWithoutTls),
    ("packet length too long", Cause::PortWithoutTls),
    ("record layer failure", Cause::PortWithoutTls),
    ("hostname mismatch", Cause::CertificateName),
    ("certificate verify failed", Cause::CertificateUntrusted),
    ("certificate required", Cause::ClientCertificate),
    ("client ssl authentication might be", Cause::ClientCertificate),
    ("alert bad certificate", Cause::ClientCertificate),
    ("alert unknown ca", Cause::ClientCertificate),
    ("connecting to a ssl listener", Cause::PortWithTls),
    ("broker might require sasl authentication", Cause::SaslRequired),
    ("ssl handshake failed", Cause::Tls),
    ("ssl routines", Cause::Tls),
    ("failed to resolve", Cause::UnknownHost),
    ("connection refused", Cause::ConnectionRefused),
    ("no route to host", Cause::Unreachable),
    ("network is unreachable", Cause::Unreachable),
    ("connection setup timed out", Cause::Unreachable),
    ("connection timed out", Cause::Unreachable),
    ("timed out in", Cause::Unreachable),
    ("disconnected", Cause::Disconnected),
    ("send failed", Cause::Disconnected),
];

impl Cause {
    /// The cause of a message, if the message is about a connection.
    pub(super) fn classify(code: Option<RDKafkaErrorCode>, message: &str) -> Option<Self> {
        let message = message.to_ascii_lowercase();
        if let Some((_, cause)) = TEXTS.iter().find(|(text, _)| message.contains(text)) {
            return Some(*cause);
        }
        match code? {
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => Some(Self::WrongPassword),
            RDKafkaErrorCode::UnsupportedSASLMechanism => Some(Self::WrongMechanism),
            RDKafkaErrorCode::SSL => Some(Self::Tls),
            RDKafkaErrorCode::Resolve => Some(Self::UnknownHost),
            _ => None,
        }
    }

    /// Whether a retry cannot succeed until someone changes a setting.
    pub(super) fn is_permanent(self) -> bool {
        // A port that closes connections can be a proxy whose broker is starting.
        !matches!(
            self,
            Self::UnknownHost | Self::ConnectionRefused | Self::Unreachable | Self::Disconnected | Self::PortWithTls
        )
    }

    /// The text of the cause, and how to fix it.
    pub(super) fn explain(self) -> (&'static str, &'static str) {
        match self {
            Self::WrongPassword => (
                "wrong password: SASL authentication failed, or there is no such user",
                "Check sasl.username and sasl.password, and that the user exists for this sasl.mechanism",
            ),
            Self::WrongMechanism => (
                "wrong SASL mechanism: the broker does not offer it on this port",
                "Set --kafka sasl.mechanism to one that the broker offers",
            ),
            Self::NoSasl => (
                "this port does not use SASL",
                "Leave SASL out (--kafka security.protocol=plaintext, or ssl), or give the SASL port with --brokers",
            ),
            Self::ClientCertificate => (
                "the broker does not accept the client certificate, or none was sent",
                "Check ssl.certificate.location, ssl.key.location and the broker's ssl.truststore",
            ),
            Self::CertificateName => (
                "host name mismatch: the broker's certificate does not name the host in --brokers",
                "Give --brokers a name that the certificate has, or a certificate with this name to the broker",
            ),
            Self::CertificateUntrusted => (
                "the broker's certificate is not trusted: none of the known CAs signed it, or it is expired",
                "Give the CA's certificate with --kafka ssl.ca.location=FILE",
            ),
            Self::PortWithoutTls => (
                "this port does not speak TLS",
                "Set --kafka security.protocol=plaintext (or sasl_plaintext), or give the TLS port with --brokers",
            ),
            Self::PortWithTls => (
                "this port speaks TLS",
                "Set --kafka security.protocol=ssl (or sasl_ssl), or give the port without TLS with --brokers",
            ),
            Self::SaslRequired => (
                "this port requires SASL authentication",
                "Set --kafka security.protocol=sasl_plaintext (or sasl_ssl), sasl.mechanism, sasl.username and sasl.password",
            ),
            Self::Tls => ("the TLS handshake failed", "Check the ssl settings (--kafka ssl.…)"),
            Self::UnknownHost => ("cannot resolve the host name", "Check the names in --brokers"),
            Self::ConnectionRefused => (
                "connection refused: nothing listens on this port",
                "Check the port in --brokers, and that the broker runs",
            ),
            Self::Unreachable => ("the host does not answer", "Check --brokers, the network and its firewalls"),
            Self::Disconnected => (
                "the connection is closed by the other side",
                "Check that --brokers names a Kafka, and security.protocol (--kafka)",
            ),
        }
    }
}

struct FirstError {
    at: Instant,
    message: String,
}

/// The causes of one client, each with its first message. Clones share the state.
#[derive(Clone, Default)]
pub(super) struct ConnectionErrors(Arc<Mutex<BTreeMap<Cause, FirstError>>>);

impl ConnectionErrors {
    /// Records a message of librdkafka, if it is about a connection.
    pub(super) fn record(&self, code: Option<RDKafkaErrorCode>, message: &str) {
        let Some(cause) = Cause::classify(code, message) else { return };
        let mut errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let message = message.to_owned();
        errors.entry(cause).or_insert_with(|| FirstError { at: Instant::now(), message });
    }

    /// The most specific cause, with its first message.
    pub(super) fn most_specific(&self) -> Option<(Cause, String)> {
        let errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().next().map(|(cause, first)| (*cause, first.message.clone()))
    }

    /// Whether a permanent cause has persisted for this time.
    pub(super) fn has_permanent(&self, min_age: Duration) -> bool {
        let errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().any(|(cause, first)| cause.is_permanent() && first.at.elapsed() >= min_age)
    }

    pub(super) fn has(&self, cause: Cause) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&cause)
    }
}

/// The minimum interval between two log lines of the same cause.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// The time of the last log line of each cause in the process, and the number of messages that were suppressed since.
static LOGGED: Mutex<BTreeMap<Cause, (Instant, u64)>> = Mutex::new(BTreeMap::new());

/// Returns the number of suppressed messages before this one, or `None` to suppress this one, too. librdkafka reports each failed
/// connection of each client twice: as a log line and as an event.
pub(super) fn throttle_log(cause: Cause, now: Instant) -> Option<u64> {
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    match logged.get_mut(&cause) {
        Some((last, suppressed)) if now.saturating_duration_since(*last) < LOG_INTERVAL => {
            *suppressed += 1;
            None
        }
        Some((last, suppressed)) => {
            *last = now;
            Some(std::mem::take(suppressed))
        }
        None => {
            logged.insert(cause, (now, 0));
            Some(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of librdkafka 2.12 with OpenSSL 3.
    #[test]
    fn message_of_librdkafka_maps_to_its_cause() {
        for (message, expected) in [
            (
                "sasl_plaintext://127.0.0.1:9093/bootstrap: SASL authentication error: Authentication failed: Invalid username or \
                 password (after 308ms in state AUTH_REQ)",
                Some(Cause::WrongPassword),
            ),
            (
                "sasl_plaintext://127.0.0.1:9093/bootstrap: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL \
                 mechanism: broker's supported mechanisms: PLAIN (after 2ms in state AUTH_HANDSHAKE)",
                Some(Cause::WrongMechanism),
            ),
            (
                "ssl://localhost:9094/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker \
                 certificate could not be verified, verify that ssl.ca.location is correctly configured or root CA certificates are \
                 installed (install ca-certificates package) (after 9ms in state SSL_HANDSHAKE)",
                Some(Cause::CertificateUntrusted),
            ),
            (
                "ssl://127.0.0.1:9092/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? (after \
                 1ms in state SSL_HANDSHAKE)",
                Some(Cause::PortWithoutTls),
            ),
            (
                "127.0.0.1:9094/bootstrap: Disconnected: requesting ApiVersion: might be caused by incorrect security.protocol \
                 configuration (connecting to a SSL listener?) or broker version is < 0.10 (see api.version.request)",
                Some(Cause::PortWithTls),
            ),
            (
                "127.0.0.1:9093/bootstrap: Disconnected: connection closed by peer: verify that security.protocol is correctly \
                 configured, broker might require SASL authentication (after 1ms in state UP)",
                Some(Cause::SaslRequired),
            ),
            (
                "kafka-1:9092/bootstrap: Failed to resolve 'kafka-1:9092': Name or service not known (after 3ms in state CONNECT)",
                Some(Cause::UnknownHost),
            ),
            (
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
                Some(Cause::ConnectionRefused),
            ),
            (
                "10.255.255.1:9092/bootstrap: Connection setup timed out in state CONNECT (after 30029ms in state CONNECT)",
                Some(Cause::Unreachable),
            ),
            ("1/1 brokers are down", None),
        ] {
            assert_eq!(Cause::classify(None, message), expected, "{message}");
        }
        assert_eq!(Cause::classify(Some(RDKafkaErrorCode::Authentication), "whatever"), Some(Cause::WrongPassword));
        assert_eq!(Cause::classify(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down"), None);
    }

    #[test]
    fn most_specific_cause_is_reported() {
        let errors = ConnectionErrors::default();
        assert_eq!(errors.most_specific(), None);
        errors.record(None, "a/1: Disconnected");
        assert!(!errors.has_permanent(Duration::ZERO));
        errors.record(None, "a/1: Connect to a:1 failed: Connection refused");
        errors.record(Some(RDKafkaErrorCode::Authentication), "a/1: SASL authentication error: the first");
        errors.record(Some(RDKafkaErrorCode::Authentication), "a/1: SASL authentication error: the second");
        let expected = (Cause::WrongPassword, "a/1: SASL authentication error: the first".to_owned());
        assert_eq!(errors.most_specific(), Some(expected));
        assert!(errors.has_permanent(Duration::ZERO) && !errors.has_permanent(Duration::from_secs(3600)));
    }

    #[test]
    fn repeated_cause_is_logged_after_the_interval_with_the_suppressed_count() {
        // No other test logs this cause.
        let (cause, now) = (Cause::NoSasl, Instant::now());
        assert_eq!(throttle_log(cause, now), Some(0));
        assert_eq!(throttle_log(cause, now), None);
        assert_eq!(throttle_log(cause, now + LOG_INTERVAL / 2), None);
        assert_eq!(throttle_log(cause, now + LOG_INTERVAL), Some(2));
        assert_eq!(throttle_log(cause, now + LOG_INTERVAL * 2), Some(0));
    }
}
