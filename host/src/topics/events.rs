//! Reports events of topics: each is logged and counted. A topic that was created again is recorded in the history, too.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use mapper_core::topics::{Recreation, TopicId, TopicIdentity};
use mapper_kafka::TopicEvents;

use mapper_telemetry::Telemetry;
use mapper_versions::Journal;

/// Receives the events of all workers.
pub struct TopicReporter {
    telemetry: Arc<Telemetry>,
    /// `None` if ids have no meaning for the next run.
    journal: Option<Arc<Journal>>,
    /// Each worker detects a new topic by itself; only the first report counts.
    reported: Mutex<BTreeSet<(String, TopicId)>>,
    /// Per partition of a topic, the offset up to which missing records are counted.
    counted_to: Mutex<BTreeMap<(String, i32), i64>>,
}

impl TopicReporter {
    /// Creates a reporter.
    pub fn new(telemetry: Arc<Telemetry>, journal: Option<Arc<Journal>>) -> Self {
        Self { telemetry, journal, reported: Mutex::default(), counted_to: Mutex::default() }
    }

    /// The first of these offsets that was not counted as missed. A gap that was found and not committed is found again after a rebalance
    /// or a rewind.
    fn first_uncounted(&self, topic: &str, partition: i32, from: i64, to: i64) -> i64 {
        let mut counted = self.counted_to.lock().unwrap_or_else(PoisonError::into_inner);
        let end = counted.entry((topic.to_owned(), partition)).or_insert(from);
        let first = from.max(*end);
        *end = to.max(*end);
        first
    }

    fn report_missed(&self, topic: &str, partition: i32, offsets: Range<i64>, message: &'static str) {
        let Range { start: from, end: to } = offsets;
        let records = u64::try_from(to - from).unwrap_or(0);
        tracing::warn!(topic, partition, from, to, records, "{message}");
        self.telemetry.topics.add_missed(records);
    }

    fn count_recreation(&self, topic: &str, old: Option<&TopicId>, new: Option<&TopicId>) {
        self.telemetry.topics.recreated(topic);
        self.counted_to.lock().unwrap_or_else(PoisonError::into_inner).retain(|(counted, _), _| counted != topic);
        if let Some(journal) = &self.journal {
            journal.record_topic_recreation(Recreation {
                topic: topic.to_owned(),
                noticed: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                old_id: old.cloned(),
                new_id: new.cloned(),
            });
        }
    }
}

impl TopicEvents for TopicReporter {
    fn known(&self, topic: &str) -> Option<TopicIdentity> {
        self.journal.as_ref()?.topic(topic)
    }

    fn keep(&self, topic: &str, identity: &TopicIdentity) {
        if let Some(journal) = self.journal.as_ref().filter(|_| identity.id.is_some()) {
            journal.record_topic(topic, identity);
        }
    }

    fn recreated(&self, topic: &str, old: Option<&TopicId>, new: Option<&TopicId>, consequence: &str) {
        if let Some(new) = new {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            if !reported.insert((topic.to_owned(), new.clone())) {
                return;
            }
        }
        let text = |id: Option<&TopicId>| id.map(ToString::to_string).unwrap_or_default();
        tracing::warn!(
            topic,
            old_id = text(old),
            new_id = text(new),
            "the topic was deleted and created again; {consequence}"
        );
        self.count_recreation(topic, old, new);
    }

    fn shortened(&self, topic: &str, partition: i32, offset: i64, to: i64) {
        tracing::warn!(
            topic,
            partition,
            offset,
            to,
            "the partition ends before the next offset to read: the topic was deleted and created again, or a broker \
             lost records; the host continues at the offset `to` (--on-topic-recreated restart)"
        );
        self.count_recreation(topic, None, None);
    }

    fn deleted_unread(&self, topic: &str, partition: i32, from: i64, to: i64) {
        self.report_missed(
            topic,
            partition,
            from..to,
            "records were deleted with their topic before the host read them",
        );
    }

    fn missed(&self, topic: &str, partition: i32, from: i64, to: i64) {
        let first = self.first_uncounted(topic, partition, from, to);
        if first < to {
            let message = "records were removed before the host read them (retention or DeleteRecords); the host continues after them \
                           (--on-gap)";
            self.report_missed(topic, partition, first..to, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter() -> TopicReporter {
        TopicReporter::new(Arc::new(Telemetry::default()), None)
    }

    fn counted(reporter: &TopicReporter) -> u64 {
        reporter.telemetry.topics.records_missed()
    }

    #[test]
    fn gap_found_again_after_a_rebalance_is_counted_once() {
        let reporter = reporter();
        reporter.missed("visits", 0, 10, 40);
        reporter.missed("visits", 0, 10, 40);
        assert_eq!(counted(&reporter), 30);
        reporter.missed("visits", 0, 8, 45);
        assert_eq!(counted(&reporter), 35, "only the records after those counted before");
        reporter.missed("visits", 1, 10, 40);
        reporter.missed("others", 0, 10, 40);
        assert_eq!(counted(&reporter), 95, "each partition has its own count");
    }

    #[test]
    fn gaps_of_a_topic_created_again_are_counted_from_its_beginning() {
        let reporter = reporter();
        reporter.missed("visits", 0, 10, 40);
        reporter.recreated("visits", None, None, "");
        reporter.missed("visits", 0, 0, 5);
        reporter.shortened("visits", 0, 40, 3);
        reporter.missed("visits", 0, 3, 5);
        assert_eq!(counted(&reporter), 37);
    }
}
