//! Reports what happened to topics: each event is logged, counted and, if a topic was created again, kept in the history.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use mapper_core::topics::{Recreation, TopicId, TopicIdentity};
use mapper_kafka::TopicEvents;

use crate::swap::Journal;
use crate::telemetry::Telemetry;

/// Where all workers report.
pub struct TopicReporter {
    telemetry: Arc<Telemetry>,
    /// `None`: nothing is kept, as ids mean nothing to the next run.
    journal: Option<Arc<Journal>>,
    /// Each worker notices by itself that a topic was created again: it is reported once.
    reported: Mutex<BTreeSet<(String, TopicId)>>,
}

impl TopicReporter {
    /// Reports to these.
    pub fn new(telemetry: Arc<Telemetry>, journal: Option<Arc<Journal>>) -> Self {
        Self { telemetry, journal, reported: Mutex::default() }
    }

    fn count_recreation(&self, topic: &str, old: Option<&TopicId>, new: Option<&TopicId>) {
        self.telemetry.topics.recreated(topic);
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
            "the partition ends before the offset that is to be read next: the topic was deleted and created again, or a broker \
             lost records; the host reads it from the offset `to` (--on-topic-recreated restart)"
        );
        self.count_recreation(topic, None, None);
    }

    fn deleted_unread(&self, topic: &str, partition: i32, from: i64, to: i64) {
        let records = u64::try_from(to - from).unwrap_or(0);
        tracing::warn!(
            topic,
            partition,
            from,
            to,
            records,
            "records were deleted with their topic before the host read them"
        );
        self.telemetry.topics.missed(records);
    }

    fn missed(&self, topic: &str, partition: i32, from: i64, to: i64) {
        let records = u64::try_from(to - from).unwrap_or(0);
        tracing::warn!(
            topic,
            partition,
            from,
            to,
            records,
            "records were removed before the host read them (retention or DeleteRecords); it goes on behind them (--on-gap)"
        );
        self.telemetry.topics.missed(records);
    }
}
