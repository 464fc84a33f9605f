//! The limits of a topic, from its configuration. The host checks a record before the broker would reject it.

use super::DEFAULT_RECORD_BYTES;

/// The clocks of host and broker can differ by this much. Within this distance of a limit, the broker decides.
const CLOCK_TOLERANCE_MS: i64 = 600_000;
/// The smallest limit; Kafka allows a `segment.bytes` of 14.
const MIN_RECORD_BYTES: usize = 1;

/// The checks of a broker before it appends a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicLimits {
    /// The largest record, in bytes: `max.message.bytes`, or `segment.bytes` if that is smaller.
    pub max_record_bytes: usize,
    /// Whether each record needs a key, because `cleanup.policy` has `compact`.
    pub needs_key: bool,
    /// The range of timestamps; `None` without a limit, as with `message.timestamp.type=LogAppendTime`.
    pub timestamps: Option<TimestampLimits>,
}

/// The largest distance of a timestamp from the time of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampLimits {
    /// `message.timestamp.before.max.ms`
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub after_max_ms: i64,
}

impl Default for TopicLimits {
    /// The limits of a topic with unknown configuration.
    fn default() -> Self {
        Self { max_record_bytes: DEFAULT_RECORD_BYTES, needs_key: false, timestamps: None }
    }
}

impl TopicLimits {
    /// Reads the limits from a topic configuration; `value_of` returns a value by name. Returns `None` without a record limit.
    pub fn from_config<'c>(value_of: impl Fn(&str) -> Option<&'c str>) -> Option<Self> {
        let number = |name: &str| value_of(name)?.parse::<i64>().ok();
        let bytes = |name: &str| usize::try_from(number(name)?).ok();
        let max_message_bytes = bytes("max.message.bytes")?;
        let segment_bytes = bytes("segment.bytes").unwrap_or(usize::MAX);
        // Kafka before 3.6 has one setting for both. Until 4.0 it is valid if the new settings have their defaults.
        let difference = number("message.timestamp.difference.max.ms").unwrap_or(i64::MAX);
        let limit = |name: &str| number(name).filter(|limit| *limit != i64::MAX).unwrap_or(difference);
        let checked = value_of("message.timestamp.type") != Some("LogAppendTime");
        Some(Self {
            max_record_bytes: max_message_bytes.min(segment_bytes).max(MIN_RECORD_BYTES),
            needs_key: value_of("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
            timestamps: checked.then(|| TimestampLimits {
                before_max_ms: limit("message.timestamp.before.max.ms"),
                after_max_ms: limit("message.timestamp.after.max.ms"),
            }),
        })
    }

    /// Whether the broker accepts a timestamp, if its clock equals that of the host.
    pub fn accepts_timestamp(&self, timestamp_ms: i64, now_ms: i64) -> bool {
        let ahead_ms = timestamp_ms.saturating_sub(now_ms);
        self.timestamps
            .is_none_or(|limits| ahead_ms <= limits.after_max_ms && ahead_ms.saturating_neg() <= limits.before_max_ms)
    }

    /// The reason why the broker will certainly reject a record for its key or timestamp.
    pub fn find_violation(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        timestamp_ms: Option<i64>,
        now_ms: i64,
    ) -> Option<String> {
        if self.needs_key && key.is_none() {
            return Some(format!(
                "an output has no key: the topic '{topic}' is compacted (cleanup.policy) and takes only records with a key. Give the \
                 output a key, or the topic another cleanup.policy"
            ));
        }
        let timestamp_ms = timestamp_ms?;
        if timestamp_ms < 0 {
            return Some(format!(
                "an output has the timestamp {timestamp_ms}: it is negative, and Kafka takes none before 1970 (topic '{topic}'). Set \
                 the timestamp in the mapper"
            ));
        }
        let limits = self.timestamps?;
        let ahead_ms = timestamp_ms.saturating_sub(now_ms);
        let behind_ms = ahead_ms.saturating_neg();
        let (distance_ms, direction, setting, limit_ms) = if ahead_ms > 0 {
            (ahead_ms, "ahead of", "message.timestamp.after.max.ms", limits.after_max_ms)
        } else {
            (behind_ms, "behind", "message.timestamp.before.max.ms", limits.before_max_ms)
        };
        (distance_ms > limit_ms.saturating_add(CLOCK_TOLERANCE_MS)).then(|| {
            format!(
                "an output has the timestamp {timestamp_ms}, {distance_ms} ms {direction} this host's time: the topic '{topic}' takes at \
                 most {limit_ms} ms ({setting}). Set the timestamp in the mapper, or raise the topic's setting"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const NOW_MS: i64 = 1_764_000_000_000;

    fn limits(config: &[(&'static str, &'static str)]) -> Option<TopicLimits> {
        TopicLimits::from_config(|name| config.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    #[test]
    fn limits_are_read_from_the_configuration() {
        let any = Some(TimestampLimits { before_max_ms: i64::MAX, after_max_ms: i64::MAX });
        let max = "9223372036854775807";
        let expect =
            |max_record_bytes, needs_key, timestamps| Some(TopicLimits { max_record_bytes, needs_key, timestamps });
        let range = |before_max_ms, after_max_ms| Some(TimestampLimits { before_max_ms, after_max_ms });
        for (config, expected) in [
            (vec![], None),
            (vec![("max.message.bytes", "many")], None),
            (vec![("max.message.bytes", "2000")], expect(2000, false, any)),
            (vec![("max.message.bytes", "2000"), ("segment.bytes", "1000")], expect(1000, false, any)),
            (vec![("max.message.bytes", "0")], expect(1, false, any)),
            (vec![("max.message.bytes", "9"), ("cleanup.policy", "compact,delete")], expect(9, true, any)),
            (vec![("max.message.bytes", "9"), ("cleanup.policy", "delete")], expect(9, false, any)),
            (vec![("max.message.bytes", "9"), ("message.timestamp.type", "LogAppendTime")], expect(9, false, None)),
            (
                vec![
                    ("max.message.bytes", "9"),
                    ("message.timestamp.before.max.ms", "5"),
                    ("message.timestamp.after.max.ms", "7"),
                ],
                expect(9, false, range(5, 7)),
            ),
            // Kafka before 3.6, and a version with both settings.
            (
                vec![("max.message.bytes", "9"), ("message.timestamp.difference.max.ms", "6")],
                expect(9, false, range(6, 6)),
            ),
            (
                vec![
                    ("max.message.bytes", "9"),
                    ("message.timestamp.difference.max.ms", "6"),
                    ("message.timestamp.before.max.ms", max),
                    ("message.timestamp.after.max.ms", "7"),
                ],
                expect(9, false, range(6, 7)),
            ),
        ] {
            assert_eq!(limits(&config), expected, "{config:?}");
        }
    }

    #[test]
    fn only_a_certain_rejection_is_a_violation() {
        let timestamps = Some(TimestampLimits { before_max_ms: 24 * HOUR_MS, after_max_ms: HOUR_MS });
        let limits = TopicLimits { timestamps, ..TopicLimits::default() };
        let violation = |timestamp_ms| limits.find_violation("reduced", None, timestamp_ms, NOW_MS);
        for timestamp_ms in [
            None,
            Some(NOW_MS),
            Some(NOW_MS + HOUR_MS + CLOCK_TOLERANCE_MS),
            Some(NOW_MS - 24 * HOUR_MS - CLOCK_TOLERANCE_MS),
        ] {
            assert_eq!(violation(timestamp_ms), None, "{timestamp_ms:?}");
        }
        for (timestamp_ms, expected) in [
            (NOW_MS + HOUR_MS + CLOCK_TOLERANCE_MS + 1, "message.timestamp.after.max.ms"),
            (i64::MAX, "message.timestamp.after.max.ms"),
            (NOW_MS - 24 * HOUR_MS - CLOCK_TOLERANCE_MS - 1, "message.timestamp.before.max.ms"),
            (0, "message.timestamp.before.max.ms"),
            (-5, "negative"),
            (i64::MIN, "negative"),
        ] {
            let reason = violation(Some(timestamp_ms)).expect("a violation");
            assert!(reason.contains(expected) && reason.contains(&timestamp_ms.to_string()), "{reason}");
            assert!(reason.contains("'reduced'"), "{reason}");
        }
        let any = TopicLimits::default();
        assert_eq!(any.find_violation("reduced", None, Some(i64::MAX), NOW_MS), None);
        let compacted = TopicLimits { needs_key: true, ..TopicLimits::default() };
        let reason = compacted.find_violation("reduced", None, None, NOW_MS).expect("a violation");
        assert!(reason.contains("cleanup.policy"), "{reason}");
        assert_eq!(compacted.find_violation("reduced", Some(b""), None, NOW_MS), None);
    }

    #[test]
    fn timestamp_is_accepted_up_to_the_limit() {
        let timestamps = Some(TimestampLimits { before_max_ms: 10, after_max_ms: 20 });
        let limits = TopicLimits { timestamps, ..TopicLimits::default() };
        let taken = |ahead_ms| limits.accepts_timestamp(NOW_MS + ahead_ms, NOW_MS);
        assert_eq!([-11, -10, 0, 20, 21].map(taken), [false, true, true, true, false]);
        assert!(TopicLimits::default().accepts_timestamp(i64::MIN, NOW_MS));
    }
}
