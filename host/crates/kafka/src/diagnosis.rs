//! The error message for an unreachable Kafka, with the most specific cause.

use std::time::{Duration, Instant};

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::client::{ConnectionContext, KafkaSettings};
use super::connection_errors::{Cause, ConnectionErrors};

/// The time limit of a second client that narrows down the cause.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// Describes why Kafka did not answer a request for `what`.
pub(super) fn describe_unreachable(
    settings: &KafkaSettings,
    errors: &ConnectionErrors,
    what: &str,
    error: &KafkaError,
) -> String {
    let brokers = &settings.brokers;
    let Some((cause, message)) = errors.most_specific() else {
        return format!(
            "Kafka at '{brokers}' did not answer a request for {what}: {error}. Check --brokers, and the network and security settings \
             (--kafka)"
        );
    };
    let closed_in = |state: &str| cause == Cause::Disconnected && message.contains(&format!("in state {state}"));
    let cause = if cause == Cause::CertificateUntrusted && is_trusted_under_another_name(settings) {
        Cause::CertificateName
    } else if closed_in("APIVERSION_QUERY") && port_uses_tls(settings) {
        Cause::PortWithTls
    } else if closed_in("UP") && !uses_sasl(settings) {
        // A broker answers the first request (ApiVersions) without a login, and then closes the connection.
        Cause::SaslRequired
    } else {
        cause
    };
    let (why, remedy) = cause.explain();
    let message = settings.redact(&message);
    format!("Kafka at '{brokers}' can't be reached: {why} ({message}). {remedy}")
}

fn uses_sasl(settings: &KafkaSettings) -> bool {
    settings.property("security.protocol").is_some_and(|protocol| protocol.to_ascii_lowercase().starts_with("sasl"))
}

/// Whether only the host name in the broker's certificate is wrong. OpenSSL has the same message for an untrusted certificate.
fn is_trusted_under_another_name(settings: &KafkaSettings) -> bool {
    let (answered, errors) = probe(settings, "ssl.endpoint.identification.algorithm", "none");
    answered || !errors.has(Cause::CertificateUntrusted) && errors.most_specific().is_some()
}

/// Whether a port that closes the connection uses TLS. A port without TLS fails the handshake at once.
fn port_uses_tls(settings: &KafkaSettings) -> bool {
    let (answered, errors) = probe(settings, "enable.ssl.certificate.verification", "false");
    let other = |(cause, _): (Cause, String)| {
        use Cause::{ConnectionRefused, PortWithoutTls, Tls, UnknownHost, Unreachable};
        matches!(cause, PortWithoutTls | Tls | UnknownHost | ConnectionRefused | Unreachable)
    };
    answered || !errors.most_specific().is_some_and(other)
}

/// Connects a second client with TLS and this property. Returns whether it got an answer, and its errors. It sends no password,
/// because it does not verify the broker.
fn probe(settings: &KafkaSettings, key: &str, value: &str) -> (bool, ConnectionErrors) {
    let mut settings = settings.clone();
    settings.group.clear();
    settings.properties.0.retain(|(key, _)| !key.starts_with("sasl.") && key != "enable.sasl.oauthbearer.unsecure.jwt");
    let mut config = settings.query_client();
    config.set("security.protocol", "ssl").set(key, value).set_log_level(RDKafkaLogLevel::Info);
    let Ok(client) = BaseConsumer::from_config_and_context(&config, ConnectionContext::default()) else {
        return (false, ConnectionErrors::default());
    };
    let deadline = Instant::now() + PROBE_TIME;
    loop {
        // A port with SASL closes the connection after the TLS handshake. The probe needs no more.
        let answered = client.fetch_metadata(Some("__consumer_offsets"), PROBE_TIME / 5).is_ok();
        drop(client.poll(Duration::from_millis(20)));
        let errors = client.context().errors.clone();
        if answered || errors.most_specific().is_some() || Instant::now() >= deadline {
            return (answered, errors);
        }
    }
}
