//! Why connections to brokers fail: what librdkafka reports, in order of how much it explains, and in words that name the cause.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;

/// A cause of failed connections; the one that explains most comes first.
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

/// What librdkafka and OpenSSL write for each cause. The first line that is found in a message decides.
const TEXTS: &[(&str, Cause)] = &[
    // The mechanism is refused before any password is sent.
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
    /// The cause that a message of librdkafka tells of, if it is about a connection.
    pub(super) fn of(code: Option<RDKafkaErrorCode>, message: &str) -> Option<Self> {
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

    /// Whether waiting can't help: somebody must change a setting.
    pub(super) fn is_permanent(self) -> bool {
        // A port that closes connections may be a proxy whose broker is about to come.
        !matches!(
            self,
            Self::UnknownHost | Self::ConnectionRefused | Self::Unreachable | Self::Disconnected | Self::PortWithTls
        )
    }

    /// The cause, and what to do about it.
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

struct Seen {
    first: Instant,
    message: String,
}

/// The causes seen by one client. Cheap to clone: all clones are the same.
#[derive(Clone, Default)]
pub(super) struct ConnectionErrors(Arc<Mutex<BTreeMap<Cause, Seen>>>);

impl ConnectionErrors {
    /// Takes note of a message of librdkafka, if it is about a connection.
    pub(super) fn note(&self, code: Option<RDKafkaErrorCode>, message: &str) {
        let Some(cause) = Cause::of(code, message) else { return };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let message = message.to_owned();
        seen.entry(cause).or_insert_with(|| Seen { first: Instant::now(), message });
    }

    /// The cause that explains most, with what librdkafka said about it.
    pub(super) fn likeliest(&self) -> Option<(Cause, String)> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().next().map(|(cause, seen)| (*cause, seen.message.clone()))
    }

    /// Whether there is a cause that waiting can't help, for so long by now.
    pub(super) fn are_permanent(&self, since: Duration) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().any(|(cause, seen)| cause.is_permanent() && seen.first.elapsed() >= since)
    }

    /// Whether this cause was seen.
    pub(super) fn has(&self, cause: Cause) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&cause)
    }
}

/// How often the same cause is logged at most.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// When each cause was logged last, by any client of the process, and how many messages were left out since.
static LOGGED: Mutex<BTreeMap<Cause, (Instant, u64)>> = Mutex::new(BTreeMap::new());

/// How many messages of this cause were left out before this one; `None`: this one is left out too. Librdkafka writes each failure of
/// each connection of each client, and again as an event.
pub(super) fn take_turn(cause: Cause, now: Instant) -> Option<u64> {
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    match logged.get_mut(&cause) {
        Some((last, left_out)) if now.saturating_duration_since(*last) < LOG_EVERY => {
            *left_out += 1;
            None
        }
        Some((last, left_out)) => {
            *last = now;
            Some(std::mem::take(left_out))
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

    /// Messages as librdkafka 2.12 with OpenSSL 3 writes them.
    #[test]
    fn message_of_librdkafka_names_its_cause() {
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
            assert_eq!(Cause::of(None, message), expected, "{message}");
        }
        assert_eq!(Cause::of(Some(RDKafkaErrorCode::Authentication), "whatever"), Some(Cause::WrongPassword));
        assert_eq!(Cause::of(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down"), None);
    }

    #[test]
    fn cause_that_explains_most_is_the_likeliest() {
        let errors = ConnectionErrors::default();
        assert_eq!(errors.likeliest(), None);
        errors.note(None, "a/1: Disconnected");
        assert!(!errors.are_permanent(Duration::ZERO));
        errors.note(None, "a/1: Connect to a:1 failed: Connection refused");
        errors.note(Some(RDKafkaErrorCode::Authentication), "a/1: SASL authentication error: the first");
        errors.note(Some(RDKafkaErrorCode::Authentication), "a/1: SASL authentication error: the second");
        let expected = (Cause::WrongPassword, "a/1: SASL authentication error: the first".to_owned());
        assert_eq!(errors.likeliest(), Some(expected));
        assert!(errors.are_permanent(Duration::ZERO) && !errors.are_permanent(Duration::from_secs(3600)));
    }

    #[test]
    fn same_cause_is_logged_again_only_after_a_while_with_the_number_left_out() {
        // No other test makes messages of this cause.
        let (cause, now) = (Cause::NoSasl, Instant::now());
        assert_eq!(take_turn(cause, now), Some(0));
        assert_eq!(take_turn(cause, now), None);
        assert_eq!(take_turn(cause, now + LOG_EVERY / 2), None);
        assert_eq!(take_turn(cause, now + LOG_EVERY), Some(2));
        assert_eq!(take_turn(cause, now + LOG_EVERY * 2), Some(0));
    }
}
