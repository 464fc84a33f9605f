//! The services of the host for the commands of plugin authors.

use std::path::Path;
use std::time::Duration;

use mapper_author::config::TopicInput;
use mapper_author::services::{Services, TopicRecords};
use mapper_core::delivery::Delivery;
use mapper_core::record::Batch;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_kafka::{KafkaSettings, TopicReader};

use crate::remote;
use crate::remote::client::Client;

/// Reads topics and calls running hosts.
pub struct HostServices;

struct Reader(TopicReader);

impl TopicRecords for Reader {
    fn fetch(&mut self, batch: &mut Batch, max_records: usize, max_bytes: usize, wait: Duration) -> Result<bool, Halt> {
        self.0.fetch(batch, max_records, max_bytes, wait)
    }
}

impl Services for HostServices {
    fn open_topic(&self, input: &TopicInput) -> Result<Box<dyn TopicRecords>, Halt> {
        let settings = KafkaSettings {
            brokers: input.brokers.clone(),
            group: String::new(),
            delivery: Delivery::AtLeastOnce,
            properties: input.kafka.clone(),
            transaction_timeout: Duration::ZERO,
            session_timeout: Duration::ZERO,
            workers: 1,
        };
        let reader = TopicReader::open(&settings, &input.topic, input.connect_timeout, &Shutdown::default())?;
        Ok(Box::new(Reader(reader)))
    }

    fn swap(&self, url: &str, token_file: Option<&Path>, plugin: &Path) -> Result<(), Halt> {
        remote::swap(&Client::new(url, token_file)?, plugin, (false, false), false)
    }
}
