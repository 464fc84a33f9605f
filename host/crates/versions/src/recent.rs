//! The sampled records for people, with excerpts instead of whole values.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::SecondsFormat;
use mapper_api::recent::{Excerpt, RecentFailure, RecentOutput, RecentRecord, RecentRecords, RecentVerdict};
use mapper_core::decision::Routes;

use super::outcome::{Outcome, OwnedOutput};
use super::sample::{Sampled, position};

/// The most records of an answer.
pub const MAX_RECENT_RECORDS: usize = 100;
/// The most outputs of a record.
const MAX_OUTPUTS: usize = 5;
/// The most bytes of a key, a value or a message.
const MAX_EXCERPT_BYTES: usize = 512;

/// Which of the sampled records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentFilter {
    pub verdict: Option<RecentVerdict>,
    /// The whole key.
    pub key: Option<Vec<u8>>,
}

impl RecentFilter {
    fn selects(&self, sampled: &Sampled) -> bool {
        self.verdict.is_none_or(|verdict| verdict == verdict_of(&sampled.outcome))
            && self.key.as_deref().is_none_or(|key| sampled.record().key() == Some(key))
    }
}

pub(super) fn verdict_of(outcome: &Outcome) -> RecentVerdict {
    match outcome {
        Outcome::Failed { .. } => RecentVerdict::Failed,
        Outcome::Produced(all) if all.is_empty() => RecentVerdict::Skipped,
        Outcome::Produced(_) => RecentVerdict::Produced,
    }
}

/// The records that the filter selects, the latest first.
pub(super) fn recent_records(sample: Vec<Arc<Sampled>>, filter: &RecentFilter, routes: &Routes) -> RecentRecords {
    let sampled = sample.len() as u64;
    let mut selected: Vec<Arc<Sampled>> = sample.into_iter().filter(|sampled| filter.selects(sampled)).collect();
    selected.sort_by_key(|sampled| std::cmp::Reverse((sampled.mapped_at, sampled.record().offset())));
    selected.truncate(MAX_RECENT_RECORDS);
    RecentRecords { records: selected.iter().map(|sampled| view(sampled, routes)).collect(), sampled }
}

fn view(sampled: &Sampled, routes: &Routes) -> RecentRecord {
    let record = sampled.record();
    let (failure, all): (_, &[OwnedOutput]) = match &sampled.outcome {
        Outcome::Failed { kind, message } => {
            (Some(RecentFailure { kind: kind.to_string(), message: cut(message.as_bytes()) }), &[])
        }
        Outcome::Produced(all) => (None, all),
    };
    let output = |output: &OwnedOutput| RecentOutput {
        topic: output.topic(routes).to_owned(),
        key: output.key().map(cut),
        value: output.value().map(cut),
    };
    RecentRecord {
        position: position(record),
        mapped_at: sampled.mapped_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        plugin: sampled.version.version.clone(),
        timestamp_ms: record.timestamp_ms(),
        key: record.key().map(cut),
        value: record.value().map(cut),
        headers: record.headers().len() as u64,
        verdict: verdict_of(&sampled.outcome),
        failure,
        outputs: all.iter().take(MAX_OUTPUTS).map(output).collect(),
        more_outputs: all.len().saturating_sub(MAX_OUTPUTS) as u64,
    }
}

fn cut(all: &[u8]) -> Excerpt {
    excerpt(all, MAX_EXCERPT_BYTES)
}

/// The first bytes; a character at the end is not split.
pub(super) fn excerpt(all: &[u8], max_bytes: usize) -> Excerpt {
    let bytes = all.len() as u64;
    let first = &all[..all.len().min(max_bytes)];
    let cut = first.len() < all.len();
    let text = match std::str::from_utf8(first) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&first[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    match text {
        Some(text) => Excerpt { text: Some(text.to_owned()), base64: None, bytes, cut },
        None => Excerpt { text: None, base64: Some(BASE64_STANDARD.encode(first)), bytes, cut },
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use mapper_core::decision::decide;
    use mapper_core::record::Batch;
    use mapper_core::verdict::{Columns, Failure, FailureKind, Verdicts};

    use super::*;
    use crate::sample::tests::version;

    fn routes() -> Routes {
        Routes::with_default_limits(&["reduced"], "dlq")
    }

    /// A record that was mapped at this second to this number of copies of its value; to a failure if it is `None`.
    fn sampled(second: i64, key: Option<&[u8]>, value: &[u8], outputs: Option<usize>) -> Arc<Sampled> {
        let mut batch = Batch::new("visits");
        batch.push((3, second), 0, key, Some(value), std::iter::empty());
        let mut verdicts = Verdicts::default();
        match outputs {
            None => verdicts.push_failure(Failure::new(FailureKind::Rejected, "no")),
            Some(outputs) => {
                let mut columns =
                    Columns { statuses: vec![0], output_ends: vec![outputs as u32], ..Columns::default() };
                (0..outputs).for_each(|_| columns.values.push(Some(value)));
                verdicts.push_columns(columns);
            }
        }
        let record = batch.record(0);
        let outcome = Outcome::from_decision(record, &decide(record, verdicts.iter().next().unwrap(), &routes(), 0));
        let mapped_at = DateTime::from_timestamp(second, 0).unwrap();
        Arc::new(Sampled { batch, outcome, version: version(), mapped_at })
    }

    fn offsets(sample: &[Arc<Sampled>], filter: &RecentFilter) -> Vec<String> {
        let recent = recent_records(sample.to_vec(), filter, &routes());
        assert_eq!(recent.sampled, sample.len() as u64);
        recent.records.into_iter().map(|record| record.position).collect()
    }

    #[test]
    fn filters_select_records_by_verdict_and_by_the_whole_key_the_latest_first() {
        let sample = [
            sampled(1, Some(b"a"), b"x", Some(1)),
            sampled(4, Some(b"ab"), b"x", Some(0)),
            sampled(2, None, b"x", None),
            sampled(3, Some(b"a"), b"x", None),
        ];
        let verdict = |verdict| RecentFilter { verdict: Some(verdict), key: None };
        assert_eq!(
            offsets(&sample, &RecentFilter::default()),
            ["visits/3@4", "visits/3@3", "visits/3@2", "visits/3@1"]
        );
        assert_eq!(offsets(&sample, &verdict(RecentVerdict::Produced)), ["visits/3@1"]);
        assert_eq!(offsets(&sample, &verdict(RecentVerdict::Skipped)), ["visits/3@4"]);
        assert_eq!(offsets(&sample, &verdict(RecentVerdict::Failed)), ["visits/3@3", "visits/3@2"]);
        let key = RecentFilter { verdict: None, key: Some(b"a".to_vec()) };
        assert_eq!(offsets(&sample, &key), ["visits/3@3", "visits/3@1"]);
    }

    #[test]
    fn answer_is_bounded_in_records_outputs_and_bytes() {
        let sample: Vec<_> = (0..130).map(|second| sampled(second, None, &[b'x'; 4000], Some(9))).collect();
        let recent = recent_records(sample, &RecentFilter::default(), &routes());
        assert_eq!((recent.records.len(), recent.sampled), (MAX_RECENT_RECORDS, 130));
        let latest = &recent.records[0];
        assert_eq!(latest.position, "visits/3@129");
        assert_eq!((latest.outputs.len(), latest.more_outputs), (MAX_OUTPUTS, 4));
        let (input, output) = (latest.value.as_ref().unwrap(), latest.outputs[0].value.as_ref().unwrap());
        assert_eq!((input.text.as_ref().unwrap().len(), input.bytes, input.cut), (MAX_EXCERPT_BYTES, 4000, true));
        assert_eq!((output, &*latest.outputs[0].topic), (input, "reduced"));
    }

    #[test]
    fn excerpt_is_text_without_half_a_character_or_base64() {
        let long = format!("{}ä", "x".repeat(MAX_EXCERPT_BYTES - 1));
        let long = cut(long.as_bytes());
        assert_eq!((long.text.unwrap().len(), long.bytes, long.cut), (MAX_EXCERPT_BYTES - 1, 513, true));
        // Half a character at the end of the whole is binary data.
        let half = cut(b"x\xc3");
        assert_eq!((half.text, half.base64.as_deref(), half.cut), (None, Some("eMM="), false));
        assert_eq!(cut(b"\xff").base64.as_deref(), Some("/w=="));
        assert_eq!(cut(b"").text.as_deref(), Some(""));
    }
}
