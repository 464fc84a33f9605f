//! Asks the broker what topics take.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaResult;

use super::client::{KafkaSettings, Quiet};
use mapper_core::decision::TopicLimits;

/// librdkafka's own bound for `message.max.bytes`.
const MAX_RECORD_BYTES: usize = 1_000_000_000;

/// The limits of these topics, each as far as the broker says: a principal without DESCRIBE_CONFIGS on a topic is not told.
pub(super) fn describe(
    settings: &KafkaSettings,
    topics: &[&str],
    within: Duration,
) -> KafkaResult<Vec<Option<TopicLimits>>> {
    let admin = AdminClient::from_config_and_context(&settings.asking(), Quiet::default())?;
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(within));
    let answers = wait(admin.describe_configs(&asked, &options))?;
    Ok((0..topics.len())
        .map(|index| {
            let config = answers.get(index)?.as_ref().ok()?;
            let limits = TopicLimits::from_config(|name| config.get(name)?.value.as_deref())?;
            Some(capped(settings, limits))
        })
        .collect())
}

/// These limits for a producer that takes no more than it may itself.
pub(super) fn capped(settings: &KafkaSettings, limits: TopicLimits) -> TopicLimits {
    let most = settings.max_message_bytes().unwrap_or(MAX_RECORD_BYTES).min(MAX_RECORD_BYTES);
    TopicLimits { max_record_bytes: limits.max_record_bytes.min(most), ..limits }
}

/// Waits for an answer; the client's own threads do the work.
pub(super) fn wait<T>(answer: impl Future<Output = KafkaResult<T>>) -> KafkaResult<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| rdkafka::error::KafkaError::AdminOpCreation(error.to_string()))?;
    runtime.block_on(answer)
}
