//! What to say when Kafka can't be reached: the likely cause first.

use std::time::{Duration, Instant};

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::client::{KafkaSettings, Quiet};
use super::connection_errors::{Cause, ConnectionErrors};

/// How long a second client may take to find out more.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// The message for a Kafka that did not answer `what`.
pub(super) fn unreachable(
    settings: &KafkaSettings,
    errors: &ConnectionErrors,
    what: &str,
    error: &KafkaError,
) -> String {
    let brokers = &settings.brokers;
    let Some((cause, message)) = errors.likeliest() else {
        return format!(
            "Kafka at '{brokers}' did not answer a request for {what}: {error}. Check --brokers, and the network and security settings \
             (--kafka)"
        );
    };
    let closed_in = |state: &str| cause == Cause::Disconnected && message.contains(&format!("in state {state}"));
    let cause = if cause == Cause::CertificateUntrusted && is_trusted_under_another_name(settings) {
        Cause::CertificateName
    } else if closed_in("APIVERSION_QUERY") && speaks_tls(settings) {
        Cause::PortWithTls
    } else if closed_in("UP") && !uses_sasl(settings) {
        // A broker tells anybody which requests it knows, and then closes the connection of who has not logged in.
        Cause::SaslRequired
    } else {
        cause
    };
    let (why, remedy) = cause.explain();
    let message = settings.without_secrets(&message);
    format!("Kafka at '{brokers}' can't be reached: {why} ({message}). {remedy}")
}

fn uses_sasl(settings: &KafkaSettings) -> bool {
    settings.property("security.protocol").is_some_and(|protocol| protocol.to_ascii_lowercase().starts_with("sasl"))
}

/// Whether the certificate of the broker is refused for the host name alone: OpenSSL's message is the same for both.
fn is_trusted_under_another_name(settings: &KafkaSettings) -> bool {
    let (answered, errors) = probe(settings, "ssl.endpoint.identification.algorithm", "none");
    answered || !errors.has(Cause::CertificateUntrusted) && errors.likeliest().is_some()
}

/// Whether a port that closes the connection does TLS: what is no TLS refuses it at once.
fn speaks_tls(settings: &KafkaSettings) -> bool {
    let (answered, errors) = probe(settings, "enable.ssl.certificate.verification", "false");
    let other = |(cause, _): (Cause, String)| {
        use Cause::{ConnectionRefused, PortWithoutTls, Tls, UnknownHost, Unreachable};
        matches!(cause, PortWithoutTls | Tls | UnknownHost | ConnectionRefused | Unreachable)
    };
    answered || !errors.likeliest().is_some_and(other)
}

/// Tries a second client with TLS and this property; tells whether it was answered, and why not. It sends no password, as it does not
/// check who it talks to.
fn probe(settings: &KafkaSettings, key: &str, value: &str) -> (bool, ConnectionErrors) {
    let mut settings = settings.clone();
    settings.group.clear();
    settings.properties.0.retain(|(key, _)| !key.starts_with("sasl.") && key != "enable.sasl.oauthbearer.unsecure.jwt");
    let mut config = settings.asking();
    config.set("security.protocol", "ssl").set(key, value).set_log_level(RDKafkaLogLevel::Info);
    let Ok(client) = BaseConsumer::from_config_and_context(&config, Quiet::default()) else {
        return (false, ConnectionErrors::default());
    };
    let deadline = Instant::now() + PROBE_TIME;
    loop {
        // A port that wants SASL closes the connection after the handshake, which is all that is asked for here.
        let answered = client.fetch_metadata(Some("__consumer_offsets"), PROBE_TIME / 5).is_ok();
        drop(client.poll(Duration::from_millis(20)));
        let errors = client.context().errors.clone();
        if answered || errors.likeliest().is_some() || Instant::now() >= deadline {
            return (answered, errors);
        }
    }
}
