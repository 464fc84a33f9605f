//! The embedded broker of the demo: librdkafka's mock cluster, in this process.
//!
//! It has consumer groups, but its transactions have no effect. It keeps 5 MiB per partition and silently drops older records.
//! So it is fit for the demo, but not for a test of delivery.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use mapper_core::shutdown::{Cause, Halt};

/// The broker ends when this value is dropped.
pub struct EmbeddedBroker(MockCluster<'static, DefaultProducerContext>);

impl EmbeddedBroker {
    /// Starts the broker and creates the topics.
    ///
    /// # Errors
    /// If it cannot start, for example because there is no free port.
    pub fn start<'a>(topics: impl IntoIterator<Item = &'a str>, partitions: i32) -> Result<Self, Halt> {
        let failed = |error| {
            Halt::new(Cause::Kafka, anyhow::Error::new(error).context("the embedded broker could not be started"))
        };
        let cluster = MockCluster::new(1).map_err(failed)?;
        for topic in topics {
            cluster.create_topic(topic, partitions, 1).map_err(failed)?;
        }
        Ok(Self(cluster))
    }

    /// Keeps the broker until the process ends. Otherwise clients that are closing log that it is unavailable.
    pub fn outlive_clients(self) {
        std::mem::forget(self);
    }

    /// Its address.
    pub fn brokers(&self) -> String {
        self.0.bootstrap_servers()
    }
}
