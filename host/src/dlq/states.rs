//! Access to the dead-letter topic and to the topic of the states.

use std::ops::ControlFlow;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};

use mapper_core::dead_letter::DeadLetter;
use mapper_core::delivery::Delivery;
use mapper_core::record::{Batch, Positions};
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_dead_letters::state::StateKey;
use mapper_dead_letters::{StateError, StateTable};
use mapper_kafka::setup::Setup;
use mapper_kafka::{KafkaSettings, TopicProducer, TopicReader};
use mapper_state::claim::host_name;

use super::error::LetterError;
use super::progress::Progress;
use crate::config::DlqTopics;

const FETCH_RECORDS: usize = 2_000;
const FETCH_BYTES: usize = 1 << 20;
const FETCH_WAIT: Duration = Duration::from_millis(200);

/// Reads a topic to its end, batch by batch, until `visit` breaks.
///
/// # Errors
/// If Kafka refuses a read, `cancel` is requested, or what `visit` returns.
pub(super) fn read_batches(
    mut reader: TopicReader,
    topic: &str,
    cancel: &Shutdown,
    mut visit: impl FnMut(&Batch) -> Result<ControlFlow<()>, Halt>,
) -> Result<(), Halt> {
    let mut batch = Batch::new(topic);
    loop {
        let is_more = reader.fetch(&mut batch, FETCH_RECORDS, FETCH_BYTES, FETCH_WAIT)?;
        if cancel.requested() {
            return Err(LetterError::Cancelled.into());
        }
        if visit(&batch)?.is_break() || !is_more {
            return Ok(());
        }
        batch.clear();
    }
}

/// The settings of clients that join no group.
pub(super) fn reader_settings(topics: &DlqTopics) -> KafkaSettings {
    KafkaSettings {
        brokers: topics.brokers.clone(),
        group: String::new(),
        delivery: Delivery::AtLeastOnce,
        properties: topics.kafka.clone(),
        transaction_timeout: Duration::from_secs(60),
        session_timeout: Duration::ZERO,
        workers: 1,
    }
}

/// The topics, and what has been done about the letters.
pub(crate) struct Access {
    settings: KafkaSettings,
    setup: Setup,
    pub(crate) dead_letters: String,
    pub(super) states: String,
    pub(super) table: StateTable,
    /// Records of the state topic that are not of this program.
    pub(super) foreign_states: u64,
    /// Whether a scan shows its progress on the terminal.
    shows_progress: bool,
    /// Ends a scan.
    cancel: Shutdown,
}

/// The letters of a topic, by what a scan found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    pub(super) open: u64,
    pub(super) closed: u64,
    /// Records that are no dead letters.
    pub(super) foreign: u64,
    /// Offsets before the first record of each partition.
    pub(super) removed: u64,
    pub(super) ends: Positions,
}

impl Access {
    /// Connects, and reads the states.
    ///
    /// # Errors
    /// If Kafka does not answer, or a later version of the program has written states.
    pub(super) fn connect(topics: &DlqTopics, shutdown: &Shutdown) -> Result<Self, Halt> {
        Self::open(topics, shutdown, (true, Shutdown::default()))
    }

    /// The same without output on the terminal: `shutdown` ends the connection, `cancel` the scans.
    ///
    /// # Errors
    /// As [`Access::connect`].
    pub(super) fn connect_silently(
        topics: &DlqTopics,
        (shutdown, cancel): (&Shutdown, &Shutdown),
    ) -> Result<Self, Halt> {
        Self::open(topics, shutdown, (false, cancel.clone()))
    }

    fn open(topics: &DlqTopics, shutdown: &Shutdown, (shows_progress, cancel): (bool, Shutdown)) -> Result<Self, Halt> {
        let settings = reader_settings(topics);
        let setup = Setup::connect(&settings, topics.connect_timeout, shutdown)?;
        let mut access = Self {
            settings,
            setup,
            dead_letters: topics.dead_letters.clone(),
            states: topics.states.clone(),
            table: StateTable::default(),
            foreign_states: 0,
            shows_progress,
            cancel,
        };
        access.update()?;
        Ok(access)
    }

    /// Reads the states again.
    ///
    /// # Errors
    /// If Kafka does not answer, or a later version of the program has written states.
    pub(super) fn update(&mut self) -> Result<(), Halt> {
        (self.table, self.foreign_states) = self.read_states()?;
        Ok(())
    }

    /// The present states.
    ///
    /// # Errors
    /// If Kafka does not answer, or a later version of the program has written states.
    pub(super) fn read_table(&self) -> Result<StateTable, Halt> {
        self.read_states().map(|(table, _)| table)
    }

    fn read_states(&self) -> Result<(StateTable, u64), Halt> {
        let (mut table, mut foreign) = (StateTable::default(), 0);
        let Some(reader) = TopicReader::open_if_exists(&self.setup, &self.states)? else {
            return Ok((table, foreign));
        };
        read_batches(reader, &self.states, &self.cancel, |batch| {
            for record in batch.records() {
                match table.apply(record) {
                    Ok(()) => {}
                    Err(StateError::Foreign { .. }) => foreign += 1,
                    Err(newer @ StateError::Newer { .. }) => {
                        return Err(Halt::configuration(format!(
                            "the state topic '{}' can't be used: {newer}",
                            self.states
                        )));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        table.finish();
        Ok((table, foreign))
    }

    /// Opens the letters before these offsets.
    ///
    /// # Errors
    /// If Kafka does not answer.
    pub(super) fn open_letters(&self, ends: &Positions) -> Result<TopicReader, Halt> {
        let ranges = self.setup.offset_ranges(&self.dead_letters)?;
        let ranges: Vec<_> = ranges
            .into_iter()
            .filter_map(|(partition, first, _)| ends.get(&partition).map(|end| (partition, first, *end)))
            .collect();
        TopicReader::open_ranges(&self.settings, &self.dead_letters, &ranges)
    }

    /// A producer to the dead-letter topic.
    ///
    /// # Errors
    /// If the topic does not exist, or librdkafka refuses a property.
    pub(super) fn letter_producer(&self) -> Result<TopicProducer, Halt> {
        if !self.setup.has_topic(&self.dead_letters)? {
            return Err(self.missing_topic());
        }
        TopicProducer::new(&self.settings, &self.dead_letters).map_err(|error| Halt::new(Cause::Kafka, error))
    }

    /// The settings of the clients, for a pipeline that redrives letters.
    pub(super) fn kafka_settings(&self, transaction_timeout: Duration) -> KafkaSettings {
        KafkaSettings { delivery: Delivery::ExactlyOnce, transaction_timeout, ..self.settings.clone() }
    }

    /// The progress of a scan.
    pub(super) fn progress(&self, what: &str, reader: &TopicReader) -> Progress {
        if self.shows_progress { Progress::new(what, reader.firsts(), reader.ends()) } else { Progress::hidden() }
    }

    /// Ends a scan.
    pub(super) fn cancel(&self) -> &Shutdown {
        &self.cancel
    }

    /// The client for requests.
    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The first and the end offset of each partition of the dead-letter topic.
    ///
    /// # Errors
    /// If the topic does not exist, or Kafka does not answer.
    pub(super) fn letter_ranges(&self) -> Result<Vec<(i32, i64, i64)>, Halt> {
        let ranges = self.setup.offset_ranges(&self.dead_letters)?;
        if ranges.is_empty() { Err(self.missing_topic()) } else { Ok(ranges) }
    }

    /// Reads all letters, in the order of each partition. `visit` gets whether a letter is open.
    ///
    /// # Errors
    /// If Kafka refuses a read, or what `visit` returns.
    pub(super) fn scan(
        &self,
        visit: impl FnMut(&DeadLetter<'_>, bool) -> Result<ControlFlow<()>, Halt>,
    ) -> Result<Scanned, Halt> {
        self.scan_ranges(&self.letter_ranges()?, visit)
    }

    /// Reads the letters in these ranges of offsets.
    ///
    /// # Errors
    /// If Kafka refuses a read, or what `visit` returns.
    pub(super) fn scan_ranges(
        &self,
        ranges: &[(i32, i64, i64)],
        mut visit: impl FnMut(&DeadLetter<'_>, bool) -> Result<ControlFlow<()>, Halt>,
    ) -> Result<Scanned, Halt> {
        let reader = TopicReader::open_ranges(&self.settings, &self.dead_letters, ranges)?;
        let mut scanned = Scanned {
            removed: reader.firsts().values().map(|first| *first as u64).sum(),
            ends: reader.ends().clone(),
            ..Scanned::default()
        };
        let progress = self.progress("letters", &reader);
        read_batches(reader, &self.dead_letters, &self.cancel, |batch| {
            for record in batch.records() {
                let Some(letter) = DeadLetter::read(record) else {
                    scanned.foreign += 1;
                    continue;
                };
                let is_open = self.table.is_open(&letter);
                *(if is_open { &mut scanned.open } else { &mut scanned.closed }) += 1;
                if visit(&letter, is_open)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            progress.advance(batch.len());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(scanned)
    }

    fn missing_topic(&self) -> Halt {
        LetterError::MissingTopic(format!(
            "the dead-letter topic '{}' doesn't exist at '{}'; check the name (--dead-letter-topic)",
            self.dead_letters, self.settings.brokers
        ))
        .into()
    }

    /// Opens the state topic for writing. Creates it on the first use.
    ///
    /// # Errors
    /// If the topic can't be created or is not compacted.
    pub(super) fn writer(&self) -> Result<StateWriter, Halt> {
        self.setup.ensure_compacted(&self.states)?;
        let producer = TopicProducer::new(&self.settings, &self.states);
        let producer = producer.map_err(|error| Halt::new(Cause::Kafka, error))?;
        Ok(StateWriter(producer))
    }
}

/// Writes states.
pub(super) struct StateWriter(TopicProducer);

impl StateWriter {
    /// # Errors
    /// If Kafka refuses the record.
    pub(super) fn write(&self, key: &StateKey, value: &impl serde::Serialize) -> Result<(), Halt> {
        let value = serde_json::to_vec(value).expect("a state has string keys");
        self.0.send(Some(key.to_string().as_bytes()), Some(&value), None, &Shutdown::default())
    }

    /// Waits until all states are written.
    ///
    /// # Errors
    /// If one was not.
    pub(super) fn finish(self) -> Result<(), Halt> {
        self.0.finish()
    }
}

/// The present time, in RFC 3339.
pub(super) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The user and the machine.
pub(super) fn who() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host_name())
}
