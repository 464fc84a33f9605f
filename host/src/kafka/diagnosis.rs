//! What to say when Kafka can't be reached: the likely cause first.

use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::client::{KafkaSettings, Quiet};
use super::connection_errors::{Cause, ConnectionErrors};

/// How long a second client may take to find out more.
const PROBE_TIME: Duration = Duration::from_secs(2);

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
    let cause = match cause {
        Cause::CertificateUntrusted if is_trusted_under_another_name(settings) => Cause::CertificateName,
        // A broker tells anybody which requests it knows, and then closes the connection of who has not logged in.
        Cause::Disconnected if message.contains("in state UP") && !uses_sasl(settings) => Cause::SaslRequired,
        cause => cause,
    };
    let (why, remedy) = cause.explain();
    let message = settings.without_secrets(&message);
    format!("Kafka at '{brokers}' can't be reached: {why} ({message}). {remedy}")
}

fn uses_sasl(settings: &KafkaSettings) -> bool {
    settings.property("security.protocol").is_some_and(|protocol| protocol.to_ascii_lowercase().starts_with("sasl"))
}

/// Whether the certificate of the broker is refused for the host name alone: OpenSSL's message is the same for both. The second
/// client sends no password, as it does not check who it talks to.
fn is_trusted_under_another_name(settings: &KafkaSettings) -> bool {
    let mut settings = settings.clone();
    settings.group.clear();
    settings.properties.0.retain(|(key, _)| !key.starts_with("sasl.") && key != "enable.sasl.oauthbearer.unsecure.jwt");
    let mut config = settings.asking();
    config.set("security.protocol", "ssl").set("ssl.endpoint.identification.algorithm", "none");
    let Ok(client) = BaseConsumer::from_config_and_context(&config, Quiet::default()) else { return false };
    let deadline = Instant::now() + PROBE_TIME;
    loop {
        // A port that wants SASL closes the connection after the handshake, which is all that is asked for here.
        let answered = client.fetch_metadata(Some("__consumer_offsets"), PROBE_TIME / 4).is_ok();
        drop(client.poll(Duration::from_millis(20)));
        let errors = &client.context().errors;
        if errors.has(Cause::CertificateUntrusted) {
            return false;
        }
        if answered || Instant::now() >= deadline {
            return answered || errors.likeliest().is_some();
        }
    }
}
