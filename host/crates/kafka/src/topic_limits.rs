//! Reads the record limits of topics from the broker.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaResult;

use super::client::{ConnectionContext, KafkaSettings};
use mapper_core::decision::TopicLimits;

/// librdkafka's maximum of `message.max.bytes`.
const MAX_RECORD_BYTES: usize = 1_000_000_000;

/// Reads the limits of topics. A limit is `None` without the permission DESCRIBE_CONFIGS on the topic.
pub(super) fn describe(
    settings: &KafkaSettings,
    topics: &[&str],
    within: Duration,
) -> KafkaResult<Vec<Option<TopicLimits>>> {
    let admin = AdminClient::from_config_and_context(&settings.query_client(), ConnectionContext::default())?;
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(within));
    let answers = wait(admin.describe_configs(&resources, &options))?;
    Ok((0..topics.len())
        .map(|index| {
            let config = answers.get(index)?.as_ref().ok()?;
            let limits = TopicLimits::from_config(|name| config.get(name)?.value.as_deref())?;
            Some(cap(settings, limits))
        })
        .collect())
}

/// Lowers the limits to those of the producer.
pub(super) fn cap(settings: &KafkaSettings, limits: TopicLimits) -> TopicLimits {
    let most = settings.max_message_bytes().unwrap_or(MAX_RECORD_BYTES).min(MAX_RECORD_BYTES);
    TopicLimits { max_record_bytes: limits.max_record_bytes.min(most), ..limits }
}

/// Blocks on an answer. The threads of the client do the work.
pub(super) fn wait<T>(answer: impl Future<Output = KafkaResult<T>>) -> KafkaResult<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| rdkafka::error::KafkaError::AdminOpCreation(error.to_string()))?;
    runtime.block_on(answer)
}
