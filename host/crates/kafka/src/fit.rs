//! Properties that librdkafka compares with each other (`rd_kafka_conf_finalize`), and refuses if they contradict each other: those
//! that the host has chosen follow the user's.

use rdkafka::config::ClientConfig;

/// librdkafka's default of `message.max.bytes`.
const DEFAULT_MESSAGE_BYTES: u64 = 1_000_000;
/// That of `fetch.max.bytes`.
const DEFAULT_FETCH_BYTES: u64 = 50 << 20;
/// The least of `message.max.bytes`.
const LEAST_MESSAGE_BYTES: u64 = 1000;
/// A response is larger than the records in it by this much, to librdkafka.
const RESPONSE_BYTES: u64 = 512;

/// Fits what every client has.
pub(super) fn client(config: &mut ClientConfig, is_users: impl Fn(&str) -> bool) {
    if is_users("reconnect.backoff.max.ms") {
        let most = number(config, "reconnect.backoff.max.ms");
        lower(config, "reconnect.backoff.ms", most.filter(|_| !is_users("reconnect.backoff.ms")));
    } else {
        raise(config, "reconnect.backoff.max.ms", number(config, "reconnect.backoff.ms"));
    }
}

/// Fits a consumer: its `fetch.max.bytes` is at least `message.max.bytes` and less than `receive.message.max.bytes`. Beyond that, it
/// makes no sense to fetch more than the queue takes, or less than is asked of one partition.
pub(super) fn consumer(config: &mut ClientConfig, is_users: impl Fn(&str) -> bool) {
    if is_users("fetch.max.bytes") {
        if !is_users("message.max.bytes") {
            // It limits what is produced; a consumer is only compared with it.
            let fetched = number(config, "fetch.max.bytes").filter(|bytes| *bytes < DEFAULT_MESSAGE_BYTES);
            set(config, "message.max.bytes", fetched.map(|bytes| bytes.max(LEAST_MESSAGE_BYTES)));
        }
        return;
    }
    let of_user = |name| number(config, name).filter(|_| is_users(name));
    let queued = of_user("queued.max.messages.kbytes").map(|kib| kib.saturating_mul(1024));
    let received = of_user("receive.message.max.bytes").map(|bytes| bytes.saturating_sub(RESPONSE_BYTES));
    let message = of_user("message.max.bytes").unwrap_or(DEFAULT_MESSAGE_BYTES);
    let least = message.max(of_user("max.partition.fetch.bytes").unwrap_or_default());
    if received.is_some() && number(config, "fetch.max.bytes").is_none() {
        set(config, "fetch.max.bytes", Some(DEFAULT_FETCH_BYTES));
    }
    lower(config, "fetch.max.bytes", queued);
    raise(config, "fetch.max.bytes", Some(least));
    lower(config, "fetch.max.bytes", received);
}

/// Fits a producer: a record must not wait for longer than it may take.
pub(super) fn producer(config: &mut ClientConfig, is_users: impl Fn(&str) -> bool) {
    if !is_users("linger.ms") {
        // 0 is no timeout.
        let timeout = number(config, "delivery.timeout.ms").filter(|timeout| *timeout > 0);
        lower(config, "linger.ms", timeout.map(|timeout| timeout - 1));
    }
}

/// A property as a number. What is none is for librdkafka to refuse.
fn number(config: &ClientConfig, name: &str) -> Option<u64> {
    config.get(name)?.parse().ok()
}

fn set(config: &mut ClientConfig, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        config.set(name, value.to_string());
    }
}

fn raise(config: &mut ClientConfig, name: &str, least: Option<u64>) {
    let now = number(config, name);
    set(config, name, now.zip(least).filter(|(now, least)| now < least).map(|(_, least)| least));
}

fn lower(config: &mut ClientConfig, name: &str, most: Option<u64>) {
    let now = number(config, name);
    set(config, name, now.zip(most).filter(|(now, most)| now > most).map(|(_, most)| most));
}
