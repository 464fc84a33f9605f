//! The embedded broker of the demo: librdkafka's mock cluster, in this process.
//!
//! It has consumer groups, but its transactions are only for show, and it keeps 5 MiB per partition and silently drops
//! what is older: good for a first look, and never for a test of delivery.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use mapper_core::shutdown::Halt;

/// A broker that is gone with this value.
pub struct EmbeddedBroker(MockCluster<'static, DefaultProducerContext>);

impl EmbeddedBroker {
    /// Starts the broker, with these topics.
    ///
    /// # Errors
    /// When it can't be started, as when there is no free port.
    pub fn start<'a>(topics: impl IntoIterator<Item = &'a str>, partitions: i32) -> Result<Self, Halt> {
        let failed = |error| Halt::kafka(format!("the embedded broker could not be started: {error}"));
        let cluster = MockCluster::new(1).map_err(failed)?;
        for topic in topics {
            cluster.create_topic(topic, partitions, 1).map_err(failed)?;
        }
        Ok(Self(cluster))
    }

    /// Keeps the broker up to the end of the process: clients that are still closing would report that it is gone.
    pub fn outlive_clients(self) {
        std::mem::forget(self);
    }

    /// Where it listens.
    pub fn brokers(&self) -> String {
        self.0.bootstrap_servers()
    }
}
