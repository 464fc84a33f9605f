//! Puts the records of a fetch into a batch.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::batches::BATCH_BYTES;
use super::numbers::Numbers;
use super::state::{Assigned, Event};
use crate::member::GroupContext;
use crate::native::{Fetched, RecordQueue};
use crate::until::EndOffsets;
use mapper_core::record::{Batch, Positions};

/// Receives the records and events of one fetch.
pub(super) struct Receiver<'s> {
    pub(super) numbers: Numbers<'s>,
    pub(super) assigned: &'s mut BTreeMap<i32, Assigned>,
    pub(super) until: Option<&'s EndOffsets>,
    pub(super) events: &'s mut Vec<Event>,
    pub(super) batch: &'s mut Batch,
    /// The most records that still fit.
    pub(super) left: usize,
    pub(super) run: Option<Run>,
}

/// Records of one partition, one after the other.
pub(super) struct Run {
    partition: i32,
    /// The offset at which the partition ends for this host.
    end: i64,
    next: Option<i64>,
    /// Whether there was a record at the end or behind it. Another run of the host reads it.
    is_beyond: bool,
}

impl Receiver<'_> {
    /// Fetches as many records as fit. Waits only for the first one.
    pub(super) fn fetch(&mut self, queue: &mut RecordQueue<GroupContext>, wait: Duration) {
        queue.fetch(wait, |fetched| self.receive(&fetched));
        self.end_run();
    }

    /// Takes records that are in the queue already. Returns the offsets to seek to.
    pub(super) fn take_queued(&mut self, queue: &mut RecordQueue<GroupContext>, most: usize) -> Option<Positions> {
        let (mut seeks, mut is_full) = (Positions::new(), false);
        let messages = queue.take_queued(most);
        if messages.is_empty() {
            return None;
        }
        for fetched in messages.iter() {
            let Some(partition) = self.numbers.find(&fetched) else { break };
            let offset = fetched.offset();
            match fetched.error() {
                None if is_full => drop(seeks.entry(partition).or_insert(offset)),
                None => {
                    seeks.remove(&partition);
                    is_full = self.take(partition, &fetched).is_break();
                }
                // After the seek to the record before it, it comes again.
                Some(RDKafkaErrorCode::PartitionEOF) if is_full && seeks.contains_key(&partition) => {}
                // `settle` assigns the partition again; librdkafka can't seek in it.
                Some(code @ RDKafkaErrorCode::AutoOffsetReset) => {
                    let offset = seeks.remove(&partition).unwrap_or(offset);
                    self.push_event(partition, offset, code, &fetched);
                }
                Some(code) => {
                    self.push_event(partition, offset, code, &fetched);
                    // An event without an offset does not change the position.
                    if offset >= 0 && !is_full {
                        seeks.insert(partition, offset);
                    } else if offset >= 0 {
                        seeks.entry(partition).or_insert(offset);
                    }
                }
            }
        }
        self.end_run();
        Some(seeks)
    }

    fn receive(&mut self, fetched: &Fetched<'_>) -> ControlFlow<()> {
        let Some(partition) = self.numbers.find(fetched) else { return ControlFlow::Break(()) };
        let Some(code) = fetched.error() else { return self.take(partition, fetched) };
        self.push_event(partition, fetched.offset(), code, fetched);
        ControlFlow::Continue(())
    }

    fn push_event(&mut self, partition: i32, offset: i64, code: RDKafkaErrorCode, fetched: &Fetched<'_>) {
        self.events.push(Event { partition, offset, code, text: fetched.error_text() });
    }

    fn take(&mut self, partition: i32, fetched: &Fetched<'_>) -> ControlFlow<()> {
        let offset = fetched.offset();
        let run = match &mut self.run {
            Some(run) if run.partition == partition => run,
            _ => self.begin_run(partition),
        };
        // When a cooperative rebalance begins, librdkafka notes the position of each partition on one thread, while another takes records
        // from the queue. It fetches these records again.
        if run.next.is_some_and(|next| offset < next) {
            return ControlFlow::Continue(());
        }
        if offset < run.end {
            run.next = Some(offset + 1);
            let headers = fetched.headers();
            self.batch.push((partition, offset), fetched.timestamp_ms(), fetched.key(), fetched.value(), headers);
        } else {
            run.is_beyond = true;
        }
        self.left -= 1;
        if self.left > 0 && self.batch.bytes() < BATCH_BYTES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    fn begin_run(&mut self, partition: i32) -> &mut Run {
        self.end_run();
        // A partition that was added later has no end.
        let end = self.until.map_or(i64::MAX, |until| until.end(partition).unwrap_or(0));
        let next = self.assigned.get(&partition).and_then(|assigned| assigned.next);
        self.run.insert(Run { partition, end, next, is_beyond: false })
    }

    fn end_run(&mut self) {
        let Some(Run { partition, end, next, is_beyond }) = self.run.take() else { return };
        if let (Some(next), Some(assigned)) = (next, self.assigned.get_mut(&partition)) {
            assigned.next = Some(next);
        }
        if let (Some(until), Some(reached)) = (self.until, next.max(is_beyond.then_some(end))) {
            until.reach(partition, reached);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use mapper_core::shutdown::Shutdown;
    use mapper_core::topic_table::TopicNames;
    use rdkafka::config::FromClientConfigAndContext;
    use rdkafka::consumer::Consumer;
    use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

    use super::*;
    use crate::embedded::EmbeddedBroker;
    use crate::member::GroupConsumer;
    use crate::produce::TopicProducer;
    use crate::tests::settings;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// A topic of one partition, and what a source needs to read it.
    struct Reading {
        // In this order: a queue must not outlive its client, nor a client its broker.
        queue: RecordQueue<GroupContext>,
        consumer: Arc<GroupConsumer>,
        producer: TopicProducer,
        _broker: EmbeddedBroker,
        topics: TopicNames,
        assigned: BTreeMap<i32, Assigned>,
    }

    impl Reading {
        fn start() -> Self {
            let broker = EmbeddedBroker::start(["t"], 1).unwrap();
            let mut settings = settings(&[]);
            settings.brokers = broker.brokers();
            let producer = TopicProducer::new(&settings, "t").unwrap();
            let context = GroupContext::new(false);
            let consumer = Arc::new(GroupConsumer::from_config_and_context(&settings.consumer(), context).unwrap());
            let queue = RecordQueue::new(consumer.clone());
            consumer.assign(&at(0)).unwrap();
            queue.route("t", 0).unwrap();
            let assigned = BTreeMap::from([(0, Assigned::new(Offset::Beginning))]);
            Self { queue, consumer, producer, _broker: broker, topics: TopicNames::one("t"), assigned }
        }

        fn produce(&self, records: usize) {
            let send = |_| self.producer.send(None, Some(b"value"), None, &Shutdown::default()).unwrap();
            (0..records).for_each(send);
            self.producer.finish().unwrap();
        }

        /// Calls `read` until there are so many records in a batch with room for `most`. Returns their offsets.
        fn read<T>(
            &mut self,
            records: usize,
            most: usize,
            mut read: impl FnMut(&mut Receiver<'_>, &mut RecordQueue<GroupContext>) -> T,
        ) -> (Vec<i64>, T) {
            let (mut batch, mut events) = (Batch::new("t"), Vec::new());
            let started = Instant::now();
            loop {
                let mut receiver = Receiver {
                    numbers: Numbers::new(&self.topics),
                    assigned: &mut self.assigned,
                    until: None,
                    events: &mut events,
                    batch: &mut batch,
                    left: most,
                    run: None,
                };
                // The consumer serves what is not a record.
                drop(self.consumer.poll(Duration::ZERO));
                receiver.left -= receiver.batch.len();
                let result = read(&mut receiver, &mut self.queue);
                if batch.len() == records {
                    return (batch.offsets, result);
                }
                assert!(started.elapsed() < TIMEOUT, "only {:?}", batch.offsets);
            }
        }
    }

    fn at(offset: i64) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("t", 0, Offset::Offset(offset)).unwrap();
        list
    }

    /// The position of librdkafka falls behind in the same way when a cooperative rebalance begins during a fetch.
    #[test]
    fn record_that_librdkafka_fetches_again_is_skipped() {
        let mut reading = Reading::start();
        reading.produce(10);
        let wait = Duration::from_millis(100);
        assert_eq!(reading.read(10, 10, |receiver, queue| receiver.fetch(queue, wait)).0, Vec::from_iter(0..10));
        reading.consumer.seek_partitions(at(4), TIMEOUT).unwrap();
        reading.produce(1);
        assert_eq!(reading.read(1, 1, |receiver, queue| receiver.fetch(queue, wait)).0, [10]);
    }

    #[test]
    fn unused_record_and_end_of_partition_in_a_backlog_require_a_seek() {
        let mut reading = Reading::start();
        reading.produce(10);
        std::thread::sleep(Duration::from_secs(2));
        let (offsets, seeks) = reading.read(4, 4, |receiver, queue| receiver.take_queued(queue, 100));
        assert_eq!((offsets, seeks), (vec![0, 1, 2, 3], Some(Positions::from([(0, 4)]))));
        reading.consumer.seek_partitions(at(4), TIMEOUT).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        let (offsets, seeks) = reading.read(6, 7, |receiver, queue| receiver.take_queued(queue, 100));
        assert_eq!((offsets, seeks), (Vec::from_iter(4..10), Some(Positions::from([(0, 10)]))));
    }
}
