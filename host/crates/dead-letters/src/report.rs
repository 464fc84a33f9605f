//! The JSON types of the API, from groups, states and letters.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};

use mapper_api::dead_letters::{
    Decision, Letter, LetterGroup, LetterGroupState, LetterInput, LetterTrend, VersionCount,
};
use mapper_core::dead_letter::{DeadLetter, FailedInput, PluginName};
use mapper_core::identity::Version;

use crate::groups::{GroupStats, INTERVAL_SECONDS, Names, Place, PluginVersion, TrendWindow};
use crate::state::{Action, GroupRecord, Mark};

/// A group whose first letter is older is no longer new. Sentry uses the same time.
const NEW_DAYS: i64 = 3;

/// The state of a group with open letters.
pub fn group_state(stats: &GroupStats, record: Option<&GroupRecord>, now: DateTime<Utc>) -> LetterGroupState {
    state_of(stats.first_ms, stats.regressions > 0, record, now)
}

/// The state of a group whose first open letter failed at this time, in milliseconds since 1970.
pub(crate) fn state_of(
    first_ms: Option<i64>,
    has_regressed: bool,
    record: Option<&GroupRecord>,
    now: DateTime<Utc>,
) -> LetterGroupState {
    let is_new = || {
        let first = first_ms.and_then(DateTime::from_timestamp_millis);
        first.is_none_or(|first| now - first < chrono::Duration::days(NEW_DAYS))
    };
    match record.map(|record| &record.last) {
        Some(Action { mark: Mark::Resolved, .. }) if has_regressed => LetterGroupState::Regressed,
        Some(Action { mark: Mark::Resolved, .. }) => LetterGroupState::Resolved,
        Some(Action { mark: Mark::Acknowledged, .. }) => LetterGroupState::Acknowledged,
        Some(Action { mark: Mark::Muted, until, .. }) if is_muted(until.as_deref(), now) => LetterGroupState::Muted,
        _ if is_new() => LetterGroupState::New,
        _ => LetterGroupState::Ongoing,
    }
}

fn is_muted(until: Option<&str>, now: DateTime<Utc>) -> bool {
    let until = until.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    until.is_none_or(|until| now < until)
}

/// What the groups of a topic have in common.
#[derive(Debug, Clone, Copy)]
pub struct GroupContext<'a> {
    /// The dead-letter topic.
    pub topic: &'a str,
    pub names: &'a Names,
    pub window: TrendWindow,
    /// The number of all letters that those of a group are a share of.
    pub letters: u64,
    pub now: DateTime<Utc>,
}

/// A group for a person or a program.
pub fn group(
    fingerprint: &str,
    stats: &GroupStats,
    record: Option<&GroupRecord>,
    context: &GroupContext<'_>,
) -> LetterGroup {
    let GroupContext { topic, names, window, letters, now } = *context;
    let span = stats.span();
    let versions =
        stats.versions().iter().filter_map(|(index, count)| Some((names.version_at(*index)?.clone(), *count)));
    // By name, and not by index, which depends on the order of reading.
    let mut versions: Vec<(PluginVersion, u64)> = versions.collect();
    versions.sort();
    let version = |(PluginVersion { name, version, digest }, count)| VersionCount {
        version: Version { name, version, digest },
        count,
    };
    let position = |Place { partition, offset, .. }: &Place| format!("{topic}/{partition}@{offset}");
    LetterGroup {
        fingerprint: fingerprint.to_owned(),
        state: group_state(stats, record, now),
        kind: stats.kind.clone(),
        message: stats.message.clone(),
        count: stats.count,
        first_failed: stats.first_ms.and_then(time),
        last_failed: stats.last_ms.and_then(time),
        share_of_letters: stats.count as f64 / letters.max(1) as f64,
        share_of_records: (span > 0).then(|| (stats.count as f64 / span as f64).min(1.0)),
        trend: LetterTrend {
            from: window.from().to_rfc3339_opts(SecondsFormat::Secs, true),
            interval_seconds: INTERVAL_SECONDS,
            counts: stats.trend.to_vec(),
        },
        max_attempt: stats.max_attempt,
        versions: versions.into_iter().map(version).collect(),
        samples: stats.first().iter().chain(stats.last()).map(position).collect(),
        decision: record.map(|record| decision(&record.last)),
        history: record.iter().flat_map(|record| &record.history).map(decision).collect(),
    }
}

/// A decision for a person or a program.
pub fn decision(action: &Action) -> Decision {
    let Action { mark, at, by, reason, until, version } = action;
    Decision {
        mark: mark.name().to_owned(),
        at: at.clone(),
        by: by.clone(),
        reason: reason.clone(),
        until: until.clone(),
        version: version.clone(),
    }
}

/// A letter for a person or a program.
pub fn letter(letter: &DeadLetter<'_>, is_open: bool) -> Letter {
    let plugin = |PluginName { name, version, digest }: PluginName<'_>| Version {
        name: name.to_owned(),
        version: version.to_owned(),
        digest: digest.to_owned(),
    };
    Letter {
        position: letter.position().to_string(),
        source: letter.source.map(|source| source.to_string()),
        state: if is_open { "open" } else { "closed" }.to_owned(),
        format: letter.format.name().to_owned(),
        kind: letter.kind.clone().into_owned(),
        fingerprint: letter.fingerprint.clone().into_owned(),
        message: letter.message().into_owned(),
        backtrace: letter.backtrace().map(|text| text.into_owned()),
        plugin: letter.plugin.map(plugin),
        attempt: letter.attempt,
        failed_at: letter.failed_at_ms().and_then(time),
        cut: letter.cut().map(|text| text.into_owned()),
        input: letter.input().ok().map(input),
    }
}

fn input(input: FailedInput) -> LetterInput {
    let FailedInput { key, value, headers, timestamp_ms } = input;
    let (key, key_base64) = text_or_base64(key);
    let (value, value_base64) = text_or_base64(value);
    let header = |(name, value): (Vec<u8>, Option<Vec<u8>>)| {
        (String::from_utf8_lossy(&name).into_owned(), value.map(header_text))
    };
    LetterInput {
        key,
        key_base64,
        value,
        value_base64,
        headers: headers.into_iter().map(header).collect(),
        timestamp_ms,
    }
}

fn text_or_base64(bytes: Option<Vec<u8>>) -> (Option<String>, Option<String>) {
    match bytes.map(String::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(error)) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
    }
}

fn header_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| format!("base64:{}", BASE64_STANDARD.encode(error.as_bytes())))
}

/// A time in RFC 3339.
pub fn time(ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(ms).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::tests::{Sample, batch};
    use crate::groups::{GroupTable, Grouped};

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_705_119_710 + seconds, 0).unwrap()
    }

    fn record(mark: Mark) -> GroupRecord {
        let (at, by, reason) = ("2024-01-13T05:00:00Z".to_owned(), "ada@desk".to_owned(), "known".to_owned());
        GroupRecord::new(Action { mark, at, by, reason, until: None, version: None }, None)
    }

    fn grouped(samples: &[Sample<'_>], record: Option<&GroupRecord>) -> LetterGroup {
        let mut table = GroupTable::new(at(60));
        for letter in batch(samples).records() {
            table.add(&DeadLetter::read(letter).unwrap(), |_| record);
        }
        let letters = table.letters();
        let Grouped { groups, names, window, .. } = table.finish();
        let context = GroupContext { topic: "visits_dlq", names: &names, window, letters, now: at(60) };
        group(&groups[0].0, &groups[0].1, record, &context)
    }

    #[test]
    fn group_without_a_decision_is_new_for_three_days() {
        let samples = [Sample::default()];
        assert_eq!(grouped(&samples, None).state, LetterGroupState::New);
        let mut table = GroupTable::new(at(60));
        batch(&samples).records().for_each(|record| table.add(&DeadLetter::read(record).unwrap(), |_| None));
        let stats = table.finish().groups.remove(0).1;
        assert_eq!(group_state(&stats, None, at(3 * 86_400 - 1)), LetterGroupState::New);
        assert_eq!(group_state(&stats, None, at(3 * 86_400)), LetterGroupState::Ongoing);
        assert_eq!(group_state(&stats, Some(&record(Mark::Reopened)), at(3 * 86_400)), LetterGroupState::Ongoing);
    }

    #[test]
    fn decision_determines_the_state() {
        let samples = [Sample::default()];
        let state = |record: &GroupRecord| grouped(&samples, Some(record)).state;
        assert_eq!(state(&record(Mark::Acknowledged)), LetterGroupState::Acknowledged);
        assert_eq!(state(&record(Mark::Muted)), LetterGroupState::Muted);
        let muted_until = |seconds| {
            let mut muted = record(Mark::Muted);
            muted.last.until = Some(at(seconds).to_rfc3339());
            muted
        };
        assert_eq!(state(&muted_until(61)), LetterGroupState::Muted);
        assert_eq!(state(&muted_until(59)), LetterGroupState::New);
        assert_eq!(state(&record(Mark::Resolved)), LetterGroupState::Regressed);
        let mut resolved = record(Mark::Resolved);
        resolved.ends.insert(0, 1);
        assert_eq!(state(&resolved), LetterGroupState::Resolved);
    }

    #[test]
    fn group_has_its_shares_and_its_samples() {
        let other = Sample { source: 90, fingerprint: "bbbb000000000000", ..Sample::default() };
        let group = grouped(
            &[Sample { source: 10, ..Sample::default() }, Sample { source: 17, ..Sample::default() }, other],
            None,
        );
        assert_eq!((group.count, group.share_of_records), (2, Some(0.25)));
        assert!((group.share_of_letters - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(group.samples, ["visits_dlq/0@0", "visits_dlq/0@1"]);
        assert_eq!(group.first_failed.as_deref(), Some("2024-01-13T04:21:50.000Z"));
        let LetterTrend { from, interval_seconds, counts } = group.trend;
        assert_eq!((from.as_str(), interval_seconds), ("2024-01-12T05:00:00Z", 3600));
        assert_eq!((counts.len(), counts[23], counts.iter().sum::<u64>()), (24, 2, 2));
    }

    #[test]
    fn letter_has_the_record_that_failed() {
        let batch = batch(&[Sample { source: 7, key: Some("k"), value: "\u{1b}[31m", ..Sample::default() }]);
        let shown = letter(&DeadLetter::read(batch.record(0)).unwrap(), true);
        assert_eq!((shown.position.as_str(), shown.source.as_deref()), ("visits_dlq/0@0", Some("visits/0@7")));
        let input = shown.input.unwrap();
        assert_eq!((input.key.as_deref(), input.value.as_deref()), (Some("k"), Some("\u{1b}[31m")));
        assert_eq!(text_or_base64(Some(b"\xff".to_vec())), (None, Some("/w==".to_owned())));
    }
}
