//! Adapts properties of the host to properties of the user. librdkafka refuses properties that contradict each other
//! (`rd_kafka_conf_finalize`).

use rdkafka::config::ClientConfig;

/// librdkafka's default of `message.max.bytes`.
const DEFAULT_MESSAGE_BYTES: u64 = 1_000_000;
/// librdkafka's default of `fetch.max.bytes`.
const DEFAULT_FETCH_BYTES: u64 = 50 << 20;
/// librdkafka's minimum of `message.max.bytes`.
const MIN_MESSAGE_BYTES: u64 = 1000;
/// librdkafka adds this to the size of the records in a response.
const RESPONSE_OVERHEAD_BYTES: u64 = 512;

/// Adapts the properties of all clients.
pub(super) fn adapt_client(config: &mut ClientConfig, is_set_by_user: impl Fn(&str) -> bool) {
    if is_set_by_user("reconnect.backoff.max.ms") {
        let most = number(config, "reconnect.backoff.max.ms");
        lower(config, "reconnect.backoff.ms", most.filter(|_| !is_set_by_user("reconnect.backoff.ms")));
    } else {
        raise(config, "reconnect.backoff.max.ms", number(config, "reconnect.backoff.ms"));
    }
}

/// Adapts `fetch.max.bytes` of a consumer. It must be at least `message.max.bytes` and less than `receive.message.max.bytes`. It
/// should not exceed the queue, and should not be less than the fetch size of one partition.
pub(super) fn adapt_consumer(config: &mut ClientConfig, is_set_by_user: impl Fn(&str) -> bool) {
    if is_set_by_user("fetch.max.bytes") {
        if !is_set_by_user("message.max.bytes") {
            // It limits a producer. librdkafka only compares it with `fetch.max.bytes` of the consumer.
            let fetched = number(config, "fetch.max.bytes").filter(|bytes| *bytes < DEFAULT_MESSAGE_BYTES);
            set(config, "message.max.bytes", fetched.map(|bytes| bytes.max(MIN_MESSAGE_BYTES)));
        }
        return;
    }
    let user_value = |name| number(config, name).filter(|_| is_set_by_user(name));
    let queued = user_value("queued.max.messages.kbytes").map(|kib| kib.saturating_mul(1024));
    let received = user_value("receive.message.max.bytes").map(|bytes| bytes.saturating_sub(RESPONSE_OVERHEAD_BYTES));
    let message = user_value("message.max.bytes").unwrap_or(DEFAULT_MESSAGE_BYTES);
    let least = message.max(user_value("max.partition.fetch.bytes").unwrap_or_default());
    if received.is_some() && number(config, "fetch.max.bytes").is_none() {
        set(config, "fetch.max.bytes", Some(DEFAULT_FETCH_BYTES));
    }
    lower(config, "fetch.max.bytes", queued);
    raise(config, "fetch.max.bytes", Some(least));
    lower(config, "fetch.max.bytes", received);
}

/// Adapts `linger.ms` of a producer, which must be less than `delivery.timeout.ms`.
pub(super) fn adapt_producer(config: &mut ClientConfig, is_set_by_user: impl Fn(&str) -> bool) {
    if !is_set_by_user("linger.ms") {
        // 0 disables the timeout.
        let timeout = number(config, "delivery.timeout.ms").filter(|timeout| *timeout > 0);
        lower(config, "linger.ms", timeout.map(|timeout| timeout - 1));
    }
}

/// A property as a number. librdkafka itself refuses another value.
fn number(config: &ClientConfig, name: &str) -> Option<u64> {
    config.get(name)?.parse().ok()
}

fn set(config: &mut ClientConfig, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        config.set(name, value.to_string());
    }
}

fn raise(config: &mut ClientConfig, name: &str, min: Option<u64>) {
    let now = number(config, name);
    set(config, name, now.zip(min).filter(|(now, min)| now < min).map(|(_, min)| min));
}

fn lower(config: &mut ClientConfig, name: &str, max: Option<u64>) {
    let now = number(config, name);
    set(config, name, now.zip(max).filter(|(now, max)| now > max).map(|(_, max)| max));
}
