//! The sink of the in-memory Kafka, and the limits of its topics.

use std::collections::BTreeSet;

use super::kafka::Kafka;
use super::*;
use mapper_core::record::{Header, NO_TIMESTAMP};

impl Sink for Fake {
    fn begin(&mut self) -> Result<(), SinkError> {
        let mut kafka = self.kafka();
        kafka.call(Call::Begin)?;
        kafka.open_ledger.clear();
        assert!(kafka.open.replace(Vec::new()).is_none(), "a transaction in a transaction");
        kafka.log.push("begin".to_owned());
        Ok(())
    }

    fn send<'h>(&mut self, sent: Outgoing<'_>, headers: &mut dyn Iterator<Item = Header<'h>>) -> Result<(), SinkError> {
        let mut kafka = self.kafka();
        kafka.call(Call::Send)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("all headers here are text");
        let headers = headers.map(|(name, value)| (text(name), text(value.unwrap_or_default()))).collect();
        let (key, value) = (sent.key.map(<[u8]>::to_vec), sent.value.unwrap_or_default().to_vec());
        let of @ (partition, offset) = sent.input;
        let record = Produced { of, key, value, headers, timestamp_ms: sent.timestamp_ms };
        if sent.route == LEDGER {
            if kafka.rejects_ledger {
                return Err(SinkError::RecordsRejected(vec![rejection(LEDGER, vec![of], RejectionCause::Other)]));
            }
            kafka.open_ledger.push(text(&record.value));
            return Ok(());
        }
        if sent.route == 2 {
            let at = |name| record.header(name).parse::<i64>().expect("a number");
            let position = (at("__connect.errors.partition"), at("__connect.errors.offset"));
            assert_eq!(position, (i64::from(partition), offset));
        } else {
            let key = record.key.as_deref().map(text);
            let is_keyless = kafka.inputs[&partition].contains(&(offset, "keyless"));
            let expected = (!is_keyless).then(|| format!("{partition}:{offset}"));
            assert_eq!(key, expected, "outputs keep the key");
            assert_eq!(sent.timestamp_ms, Some(1000 + offset), "the timestamp is kept");
        }
        if String::from_utf8_lossy(&record.value).contains("refuse@send") {
            return Err(SinkError::RecordsRejected(vec![rejection(sent.route, vec![of], RejectionCause::Other)]));
        }
        kafka.open.as_mut().expect("a record in a transaction").push((sent.route, record));
        Ok(())
    }

    fn commit(&mut self, next: &Positions) -> Result<(), SinkError> {
        let mut kafka = self.kafka();
        let event = kafka.call(Call::Commit)?;
        assert!(kafka.open.is_some(), "a commit without a transaction");
        assert!(next.keys().all(|partition| !kafka.lost.contains(partition)), "a commit of lost partitions");
        assert!(
            next.keys().all(|partition| kafka.positions.contains_key(partition)),
            "a commit of another's partitions"
        );
        let rejections = kafka.rejections();
        if !rejections.is_empty() {
            return Err(SinkError::RecordsRejected(rejections));
        }
        let sent: BTreeSet<(i32, i64)> = kafka.open.iter().flatten().map(|(_, record)| record.of).collect();
        if sent.len() > kafka.most_at_once {
            return Err(SinkError::Retriable(anyhow::anyhow!("it took longer than it may")));
        }
        kafka.make_visible(next, event.is_none());
        if event.is_some() { Err(SinkError::Retriable(anyhow::anyhow!("no answer"))) } else { Ok(()) }
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        let mut kafka = self.kafka();
        kafka.call(Call::Abort)?;
        kafka.open = None;
        kafka.log.push("abort".to_owned());
        Ok(())
    }

    fn topic_limits(&mut self) -> Vec<Option<TopicLimits>> {
        let kafka = self.kafka();
        kafka.limits.iter().map(|limits| kafka.reports_limits.then(|| limits.clone())).collect()
    }
}

impl Kafka {
    /// The rejection of this record by the broker, if any.
    fn rejects(&self, route: RouteIndex, record: &Produced) -> Option<RejectionCause> {
        let limits = &self.limits[route];
        let now_ms = self.clock.wall_time().timestamp_millis();
        let timestamp_ms = record.timestamp_ms.unwrap_or(now_ms);
        let kind = self.refused_kind.filter(|_| route == 2).map(FailureKind::name);
        if record.value.len() > limits.max_record_bytes {
            return Some(RejectionCause::TooLarge);
        }
        if timestamp_ms != NO_TIMESTAMP && !limits.accepts_timestamp(timestamp_ms, now_ms) {
            return Some(RejectionCause::Timestamp);
        }
        let is_refused = String::from_utf8_lossy(&record.value).contains("refuse@commit")
            || kind == Some(record.header("mapper-host.kind"))
            || limits.needs_key && record.key.is_none();
        is_refused.then_some(RejectionCause::Other)
    }

    /// The rejection of the open transaction by the broker, if any. It checks one topic after the other.
    fn rejections(&self) -> Vec<Rejection> {
        let open = || self.open.iter().flatten();
        let mut rejections = Vec::new();
        for route in 0..3 {
            let rejected: Vec<_> = open()
                .filter(|(to, _)| *to == route)
                .filter_map(|(_, record)| Some((record.of, self.rejects(route, record)?)))
                .collect();
            if self.names_rejected {
                rejections.extend(rejected.into_iter().map(|(of, cause)| rejection(route, vec![of], cause)));
            } else if let Some((_, cause)) = rejected.first() {
                let inputs = open().filter(|(to, _)| *to == route).map(|(_, record)| record.of);
                rejections.push(rejection(route, inputs.collect(), *cause));
            }
        }
        rejections
    }

    /// A rejection of the open records without a permanent cause.
    pub(super) fn rejects_something(&self) -> SinkError {
        let open = || self.open.iter().flatten();
        let routes: BTreeSet<RouteIndex> = open().map(|(route, _)| *route).collect();
        let inputs = |route| open().filter(|(to, _)| *to == route).map(|(_, record)| record.of).collect();
        let rejections = routes.into_iter().map(|route| rejection(route, inputs(route), RejectionCause::Other));
        SinkError::RecordsRejected(rejections.collect())
    }
}

fn rejection(route: RouteIndex, mut inputs: Vec<(i32, i64)>, cause: RejectionCause) -> Rejection {
    inputs.dedup();
    Rejection { route, inputs, cause, reason: "not in my topic".to_owned() }
}
