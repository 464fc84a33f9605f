//! Settings that more than one command has, and readers that more than one setting has.

use std::path::PathBuf;
use std::time::Duration;

use super::sources::Sources;
use super::{CliError, pairs};
use crate::config::{Delivery, LogConfig, Pairs, brokers, values};
use mapper_state::files::folders::Folder;

/// Topics are created with this many partitions at most: beyond, it is more likely a slip than a wish.
pub(super) const MOST_PARTITIONS: u32 = 10_000;
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The maximum of records in one call of the plugin.
pub(super) fn batch_records(sources: &Sources<'_>) -> Result<usize, CliError> {
    sources.value("batch-records", |text| values::count(text, 1..=10_000))
}

/// Where compiled plugins are kept.
pub(super) fn cache_dir(sources: &Sources<'_>) -> Result<Option<PathBuf>, CliError> {
    folder(sources, "cache-dir", Folder::Cache)
}

/// Where the host keeps what must survive a restart.
pub(super) fn state_dir(sources: &Sources<'_>) -> Result<Option<PathBuf>, CliError> {
    folder(sources, "state-dir", Folder::State)
}

/// How long to try to reach Kafka.
pub(super) fn connect_timeout(sources: &Sources<'_>) -> Result<Duration, CliError> {
    sources.value("connect-timeout", within(Duration::from_millis(100), HOUR))
}

/// The brokers, if any are given, and the properties with which they are reached.
pub(super) fn kafka(sources: &Sources<'_>) -> Result<(Option<String>, Pairs), CliError> {
    let given = sources.find("brokers");
    let brokers = given.as_ref().map(|given| given.read(brokers::brokers)).transpose()?;
    let kafka = pairs::kafka(sources)?;
    let mismatch = brokers.as_ref().and_then(|brokers| brokers::mismatch(brokers, &kafka));
    match (given, mismatch) {
        (Some(given), Some(why)) => Err(given.refuse(&why)),
        _ => Ok((brokers, kafka)),
    }
}

/// The topic with the states of dead letters.
pub(super) fn state_topic(sources: &Sources<'_>, dead_letters: &str) -> Result<String, CliError> {
    let given = sources.optional("state-topic", values::topic)?;
    Ok(given.unwrap_or_else(|| default_state_topic(dead_letters)))
}

pub(super) fn default_state_topic(dead_letters: &str) -> String {
    format!("{dead_letters}.state")
}

/// The consumer group. That of a `[[pipeline]]` table is the name of the pipeline, unless it is given.
pub(super) fn group(sources: &Sources<'_>) -> Result<String, CliError> {
    let group = sources.present("group");
    let own = sources.table().and_then(|table| table.name.clone()).filter(|_| !group.explicit());
    own.map_or_else(|| group.read(values::name), Ok)
}

/// Whether headers of an output name its version and its input.
pub(super) fn provenance(sources: &Sources<'_>) -> Result<bool, CliError> {
    sources.value("provenance", |text| values::either(text, ["headers", "off"]))
}

/// What is logged, and how.
pub(super) fn log(sources: &Sources<'_>) -> Result<LogConfig, CliError> {
    Ok(LogConfig {
        format: sources.value("log-format", values::log_format)?,
        filter: sources.value("log-level", values::log_filter)?,
    })
}

/// The times of a transaction.
pub(super) struct TransactionTimes {
    pub(super) commit_interval: Duration,
    pub(super) timeout: Duration,
}

/// The times of a transaction, which must be consistent with each other and with the properties of librdkafka.
pub(super) fn transaction_times(
    sources: &Sources<'_>,
    kafka: &Pairs,
    delivery: Delivery,
) -> Result<TransactionTimes, CliError> {
    let interval = sources.present("commit-interval");
    let commit_interval = interval.read(within(Duration::from_millis(1), Duration::from_secs(60)))?;
    let timeout = sources.value("transaction-timeout", within(Duration::from_secs(1), HOUR))?;
    fits_transaction(kafka, timeout, delivery)?;
    if commit_interval >= timeout {
        let longest = humantime::format_duration(timeout);
        return Err(interval.refuse(&format!(
            "the broker would abort each transaction before it is committed; give less than --transaction-timeout ({longest})"
        )));
    }
    Ok(TransactionTimes { commit_interval, timeout })
}

/// The rules of librdkafka (`rd_kafka_conf_finalize`): a delivery must fail before its transaction expires.
fn fits_transaction(kafka: &Pairs, transaction_timeout: Duration, delivery: Delivery) -> Result<(), CliError> {
    for (name, more_ms) in [("delivery.timeout.ms", 0), ("socket.timeout.ms", 100)] {
        let given = kafka.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok());
        let longest = transaction_timeout + Duration::from_millis(more_ms);
        if delivery == Delivery::ExactlyOnce && given.map(Duration::from_millis).is_some_and(|given| given > longest) {
            let timeout = humantime::format_duration(transaction_timeout);
            let message = format!(
                "setting kafka: {name} is longer than --transaction-timeout ({timeout}): give {} or less, or raise \
                 --transaction-timeout",
                longest.as_millis()
            );
            return Err(CliError::Setting { name: "kafka", message });
        }
    }
    Ok(())
}

pub(super) fn within(shortest: Duration, longest: Duration) -> impl Fn(&str) -> values::Read<Duration> {
    move |text| values::duration(text, shortest..=longest)
}

#[expect(clippy::unnecessary_wraps, reason = "it is a reader like the others")]
pub(super) fn path(text: &str) -> values::Read<PathBuf> {
    Ok(PathBuf::from(text))
}

fn folder(sources: &Sources<'_>, name: &'static str, folder: Folder) -> Result<Option<PathBuf>, CliError> {
    let given = sources.optional(name, path)?;
    Ok(given.or_else(|| sources.environment.folder(folder)))
}
