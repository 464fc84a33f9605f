//! A Kafka of three brokers, of which one can be killed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::kafka::{JVM_FOR_TESTS, Kafka, Own, PORT_ATTEMPTS, START_TIMEOUT, Start, client_config, free_port};

/// Every topic is replicated to all brokers and accepts writes without one of them. A missing broker is soon detected.
const PROPERTIES: &str = "default.replication.factor=3\nmin.insync.replicas=2\noffsets.topic.replication.factor=3\n\
    transaction.state.log.replication.factor=3\ntransaction.state.log.min.isr=2\nbroker.session.timeout.ms=3000\n\
    broker.heartbeat.interval.ms=500\n";
/// As in `tests/kafka/server.properties`.
const INTERNAL_PARTITIONS: i32 = 4;
const POLL: Duration = Duration::from_millis(50);

struct Node {
    own: Own,
    address: String,
}

/// Three brokers; the first one is the controller, too, and stays. Dropping them kills them.
pub struct Cluster {
    nodes: Vec<Mutex<Node>>,
    kafka: Kafka,
}

impl Cluster {
    /// Starts the brokers; returns once all of them answer.
    pub fn start() -> Result<Cluster> {
        for _ in 0..PORT_ATTEMPTS {
            if let Some(cluster) = Cluster::try_start()? {
                return Ok(cluster);
            }
        }
        bail!("other processes took the ports picked for the brokers {PORT_ATTEMPTS} times in a row")
    }

    fn try_start() -> Result<Option<Cluster>> {
        // All listeners stay open until all ports are known; otherwise two could be the same.
        let ports = (0..4).map(|_| free_port()).collect::<Result<Vec<_>>>()?;
        let addresses = ports.iter().map(|port| Ok(port.local_addr()?.to_string())).collect::<Result<Vec<_>>>()?;
        drop(ports);
        let (controller, brokers) = addresses.split_last().context("there are four")?;
        let mut nodes: Vec<Node> = Vec::new();
        for (index, address) in brokers.iter().enumerate() {
            let mut own = Own::new(JVM_FOR_TESTS)?;
            if let Some(first) = nodes.first() {
                own.cluster_id.clone_from(&first.own.cluster_id);
            }
            let roles = if index == 0 { "broker,controller" } else { "broker" };
            let listens = if index == 0 { format!(",CONTROLLER://{controller}") } else { String::new() };
            own.append_properties(&format!(
                "{PROPERTIES}process.roles={roles}\nnode.id={}\nlisteners=PLAINTEXT://{address}{listens}\n\
                 advertised.listeners=PLAINTEXT://{address}\ncontroller.quorum.bootstrap.servers={controller}\n",
                index + 1
            ))?;
            own.format(if index == 0 { &["--standalone"] } else { &[] })?;
            nodes.push(Node { own, address: address.clone() });
        }
        let deadline = Instant::now() + START_TIMEOUT;
        let started = thread::scope(|scope| {
            let starting: Vec<_> =
                nodes.iter_mut().map(|node| scope.spawn(move || node.own.bring_up(&node.address, deadline))).collect();
            starting.into_iter().map(|node| node.join().expect("no panic")).collect::<Result<Vec<_>>>()
        })?;
        if started.contains(&Start::PortTaken) {
            return Ok(None);
        }
        let nodes = nodes.into_iter().map(Mutex::new).collect();
        let cluster = Cluster { nodes, kafka: Kafka::external(brokers.join(","))? };
        cluster.wait_for_brokers(3)?;
        Ok(Some(cluster))
    }

    /// All brokers as one Kafka, for topics and hosts.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Kills this broker (SIGKILL), as a crash would. The first one can't be killed: it is the controller.
    pub fn kill(&self, id: i32) {
        assert!(id != 1, "the controller must stay");
        self.node(id).own.kill();
    }

    /// Restarts a broker, and waits until all three are members again.
    pub fn restart(&self, id: i32) -> Result<()> {
        let mut node = self.node(id);
        let address = node.address.clone();
        let deadline = Instant::now() + START_TIMEOUT;
        while node.own.bring_up(&address, deadline)? == Start::PortTaken {
            ensure!(Instant::now() < deadline, "the port of {address} stays taken");
        }
        drop(node);
        self.wait_for_brokers(3)
    }

    fn node(&self, id: i32) -> MutexGuard<'_, Node> {
        let index = usize::try_from(id - 1).expect("ids are 1 to 3");
        self.nodes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker that coordinates the consumer group of this name.
    pub fn group_coordinator(&self, group: &str) -> i32 {
        self.leader("__consumer_offsets", group)
    }

    /// The broker that coordinates the transactions of this id.
    pub fn transaction_coordinator(&self, transactional_id: &str) -> i32 {
        self.leader("__transaction_state", transactional_id)
    }

    /// The leader of the partition of a name's hash. Kafka creates the topic at its first use.
    fn leader(&self, topic: &str, name: &str) -> i32 {
        // As String.hashCode and Utils.abs of the Java broker.
        let hash = name.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
        let partition = (hash & i32::MAX) % INTERNAL_PARTITIONS;
        let client: BaseConsumer = client_config(self.kafka.brokers()).create().expect("a valid configuration");
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let metadata = client.fetch_metadata(Some(topic), START_TIMEOUT);
            let leader = metadata.as_ref().ok().and_then(|metadata| {
                let partitions = metadata.topics().first()?.partitions();
                partitions.iter().find(|found| found.id() == partition).map(|found| found.leader())
            });
            if let Some(leader) = leader.filter(|leader| *leader > 0) {
                return leader;
            }
            assert!(Instant::now() < deadline, "{topic} has no leader of partition {partition}: {metadata:?}");
            thread::sleep(POLL);
        }
    }

    fn wait_for_brokers(&self, wanted: usize) -> Result<()> {
        let client: BaseConsumer = client_config(self.kafka.brokers()).create()?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let brokers = client.fetch_metadata(None, START_TIMEOUT).map(|metadata| metadata.brokers().len());
            if brokers.as_ref().is_ok_and(|brokers| *brokers == wanted) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{wanted} brokers are not there: {brokers:?}");
            thread::sleep(POLL);
        }
    }
}
