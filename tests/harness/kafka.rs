//! Starts a real Kafka for the tests: one broker process on the loopback, gone when the test process is.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use crate::broker_dir::{KAFKA_DIR, claim_dir};

/// The timeout of a broker's start; on an idle machine it needs about three seconds.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(180);
/// The timeout of a clean stop of a broker.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause between two polls of a process or a broker.
const POLL: Duration = Duration::from_millis(50);
/// The number of starts on new ports, because another process can take a port before the broker binds it.
pub(crate) const PORT_ATTEMPTS: usize = 5;
/// The part of the end of a log that an error shows.
const LOG_TAIL_BYTES: usize = 4096;

/// The settings of every broker of the harness, apart from its addresses and directory.
pub(crate) const PROPERTIES: &str = include_str!("../kafka/server.properties");

/// For a broker that restarts after [`Kafka::kill`]: the controller refuses it until the session of its killed
/// self runs out, which by default takes nine seconds.
pub(crate) const AFTER_KILL: &str = "broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=200\n";

/// Starts in the least time and memory.
pub(crate) const JVM_FOR_TESTS: &[&str] = &["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// Runs at full speed after a while.
const JVM_FOR_LOAD: &[&str] = &["-Xms1g", "-Xmx1g"];

/// A Kafka broker of a test; dropping a broker of the harness kills it and removes its data.
#[derive(Debug)]
pub struct Kafka {
    brokers: String,
    /// None for an external broker, named by `TEST_KAFKA_BROKERS`.
    own: Option<Own>,
}

/// The process and the files of a broker of the harness.
#[derive(Debug)]
pub(crate) struct Own {
    child: Option<Child>,
    jvm: &'static [&'static str],
    jars: PathBuf,
    /// Distinguishes this broker from another one that answers on its port.
    pub(crate) cluster_id: String,
    pub(crate) dir: TempDir,
    /// Locked for as long as this process lives: a directory whose claim is free was left behind (see `sweep`).
    _claim: File,
}

/// The result of a start of a broker without a permanent failure.
#[derive(Debug, PartialEq)]
pub(crate) enum Start {
    /// It answers.
    Up,
    /// Another process has its port.
    PortTaken,
}

impl Kafka {
    /// The broker that all tests of this process share: the one `TEST_KAFKA_BROKERS` names ("host:port,…"), or else
    /// one that is started at the first call and ends with the process. Panics if there is no broker.
    pub fn shared() -> &'static Kafka {
        // The failure is kept too; otherwise every test would wait for its own timeout.
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let named = std::env::var("TEST_KAFKA_BROKERS").ok().filter(|brokers| !brokers.trim().is_empty());
            let kafka = named.map_or_else(Kafka::start, Kafka::external);
            kafka.map_err(|error| format!("{error:#}"))
        });
        shared.as_ref().unwrap_or_else(|error| panic!("no Kafka to test against: {error}"))
    }

    /// Starts a separate broker, for tests that stop or kill it. Errors when java or mvn is missing, or when it
    /// does not answer within a minute; the error then quotes the broker's log.
    pub fn start() -> Result<Kafka> {
        Kafka::start_with(&[])
    }

    /// Like [`Kafka::start`], with further lines of `server.properties`, which win over ours.
    pub fn start_with(overrides: &[(&str, &str)]) -> Result<Kafka> {
        Kafka::launch(JVM_FOR_TESTS, overrides)
    }

    /// Like [`Kafka::start`], for benchmarks: the full JIT compiler and a heap of 1 GiB.
    pub fn start_for_load() -> Result<Kafka> {
        Kafka::launch(JVM_FOR_LOAD, &[])
    }

    /// The `bootstrap.servers` of a client: `127.0.0.1:PORT` for a broker of the harness.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Stops the broker cleanly (SIGTERM) and waits for its end. Panics if it isn't ours or doesn't stop in a minute.
    pub fn stop(&mut self) {
        let own = self.own.as_mut().expect("a broker named by TEST_KAFKA_BROKERS is not ours to stop");
        let Some(child) = &mut own.child else { return };
        let pid = libc::pid_t::try_from(child.id()).expect("a pid fits pid_t");
        // SAFETY: kill takes no pointers, and the pid is still our child's, because we have not waited for it yet.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let deadline = Instant::now() + STOP_TIMEOUT;
        while child.try_wait().expect("our own child can be waited for").is_none() {
            assert!(Instant::now() < deadline, "the broker did not stop in {STOP_TIMEOUT:?}:\n{}", tail(&own.log(0)));
            thread::sleep(POLL);
        }
        own.child = None;
    }

    /// Kills the broker (SIGKILL), as a crash would. Panics if it isn't ours.
    pub fn kill(&mut self) {
        let own = self.own.as_mut().expect("a broker named by TEST_KAFKA_BROKERS is not ours to kill");
        own.kill();
        own.append_properties(AFTER_KILL).expect("the properties of a broker of ours can be written");
    }

    /// Restarts the broker on the same port and data; returns once it answers.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(self.own.is_some(), "a broker named by TEST_KAFKA_BROKERS is not ours to restart");
        self.stop();
        let deadline = Instant::now() + START_TIMEOUT;
        let own = self.own.as_mut().expect("checked above");
        // Clients have the port, so the broker waits if another process uses it meanwhile.
        while own.bring_up(&self.brokers, deadline)? == Start::PortTaken {
            ensure!(Instant::now() < deadline, "the port of {} stays taken:\n{}", self.brokers, tail(&own.log(0)));
        }
        Ok(())
    }

    fn launch(jvm: &'static [&'static str], overrides: &[(&str, &str)]) -> Result<Kafka> {
        for _ in 0..PORT_ATTEMPTS {
            let (mut own, brokers) = Own::prepare(jvm, overrides)?;
            if own.bring_up(&brokers, Instant::now() + START_TIMEOUT)? == Start::Up {
                return Ok(Kafka { brokers, own: Some(own) });
            }
        }
        bail!("other processes took the port picked for the broker {PORT_ATTEMPTS} times in a row")
    }

    /// One or more external brokers.
    pub(crate) fn external(brokers: String) -> Result<Kafka> {
        let deadline = Instant::now() + START_TIMEOUT;
        let probe = probe(&brokers)?;
        while !answers(&probe, None) {
            ensure!(Instant::now() < deadline, "TEST_KAFKA_BROKERS={brokers} does not answer in {START_TIMEOUT:?}");
        }
        Ok(Kafka { brokers, own: None })
    }
}

impl Own {
    /// A directory for one broker, with the jars.
    pub(crate) fn new(jvm: &'static [&'static str]) -> Result<Own> {
        let (jars, dir, claim) = claim_dir()?;
        let cluster_id = dir.path().file_name().context("a nameless directory")?.to_string_lossy().into_owned();
        let own = Own { child: None, jvm, jars, cluster_id, dir, _claim: claim };
        own.append_properties(&format!("{PROPERTIES}log.dirs={}\n", own.dir.path().join("data").display()))?;
        Ok(own)
    }

    /// Formats the data directory by the properties.
    pub(crate) fn format(&self, arguments: &[&str]) -> Result<()> {
        let mut format = self.java("kafka.tools.StorageTool", JVM_FOR_TESTS);
        format.args(["format", "-t", &self.cluster_id, "-c"]).arg(self.properties()).args(arguments);
        run(format)
    }

    /// A formatted data directory and two free ports; with the address of the broker-to-be.
    fn prepare(jvm: &'static [&'static str], overrides: &[(&str, &str)]) -> Result<(Own, String)> {
        let own = Own::new(jvm)?;
        // Both are held until both are known, or they could be the same.
        let (broker, controller) = (free_port()?, free_port()?);
        let (broker, controller) = (broker.local_addr()?.to_string(), controller.local_addr()?.to_string());
        own.append_properties(&format!(
            "listeners=PLAINTEXT://{broker},CONTROLLER://{controller}\n\
             advertised.listeners=PLAINTEXT://{broker}\ncontroller.quorum.bootstrap.servers={controller}\n"
        ))?;
        let lines: String = overrides.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        own.append_properties(&lines)?;
        own.format(&["--standalone"])?;
        Ok((own, broker))
    }

    /// Starts the process and waits until it answers. The log is in the error if it ends or the deadline passes.
    pub(crate) fn bring_up(&mut self, brokers: &str, deadline: Instant) -> Result<Start> {
        let path = self.dir.path().join("broker.log");
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        let before = log.metadata()?.len();
        let mut command = self.java("kafka.Kafka", self.jvm);
        command.arg(self.properties()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = spawn_bound(command)?;
        let pid = child.id();
        self.child = Some(child);
        let probe = probe(brokers)?;
        loop {
            if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                self.child = None;
                let log = self.log(before);
                if log.contains("Address already in use") {
                    return Ok(Start::PortTaken);
                }
                bail!("the broker ended at its start ({status}):\n{}", tail(&log));
            }
            if answers(&probe, Some(&self.cluster_id)) {
                return Ok(Start::Up);
            }
            if Instant::now() >= deadline {
                let log = self.log(before);
                self.kill();
                bail!("the broker at {brokers} (pid {pid}) does not answer in {START_TIMEOUT:?}:\n{}", tail(&log));
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails only if it has ended already, and then there is nothing left to do.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn java(&self, class: &str, jvm: &[&str]) -> Command {
        let mut class_path = self.jars.clone().into_os_string();
        class_path.push("/*");
        let mut log_settings = OsString::from("-Dlog4j2.configurationFile=");
        log_settings.push(Path::new(KAFKA_DIR).join("log4j2.properties"));
        let mut command = Command::new("java");
        command.args(jvm).arg("-Djava.net.preferIPv4Stack=true").arg(log_settings);
        command.arg("-cp").arg(class_path).arg(class);
        command
    }

    fn properties(&self) -> PathBuf {
        self.dir.path().join("server.properties")
    }

    /// The last value of a duplicate key counts.
    pub(crate) fn append_properties(&self, lines: &str) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.properties())?;
        Ok(file.write_all(lines.as_bytes())?)
    }

    /// The log of the broker after the first `from` bytes.
    fn log(&self, from: u64) -> String {
        let log = fs::read(self.dir.path().join("broker.log")).unwrap_or_default();
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client that finds the broker soon after it comes up; librdkafka waits up to ten seconds between attempts.
pub(crate) fn client_config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "200");
    config
}

fn probe(brokers: &str) -> Result<BaseConsumer> {
    client_config(brokers).create().with_context(|| format!("{brokers:?} is not an address of a broker"))
}

/// Whether an unfenced broker answers (and is that of the given cluster): before that, no topic can be created.
fn answers(probe: &BaseConsumer, cluster_id: Option<&str>) -> bool {
    let wait = Duration::from_millis(250);
    let Ok(metadata) = probe.fetch_metadata(None, wait) else { return false };
    !metadata.brokers().is_empty()
        && cluster_id.is_none_or(|id| probe.client().fetch_cluster_id(wait).as_deref() == Some(id))
}

/// Starts a process that the kernel kills when ours ends, however it ends: statics are never dropped, and nothing
/// of ours runs on SIGKILL.
///
/// PR_SET_PDEATHSIG goes by the *thread* that forked: a broker started from a test's thread would die with that
/// test. So one thread starts them all and stays.
pub(crate) fn spawn_bound(mut command: Command) -> Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let parent = std::process::id();
    let bind = move || {
        // SAFETY: prctl with PR_SET_PDEATHSIG and getppid take no pointers.
        let (failed, now) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0, libc::getppid()) };
        if failed {
            return Err(io::Error::last_os_error());
        }
        // Our process may have ended before the call, and then the signal never comes.
        if u32::try_from(now) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes async-signal-safe calls and does not allocate.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, bind) };
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        thread::spawn(move || {
            // Never ends: the sender is a static.
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        jobs
    });
    let (reply, child) = mpsc::channel();
    let tool = command.get_program().to_string_lossy().into_owned();
    spawner.send((command, reply)).ok().context("the thread that starts brokers is gone")?;
    child.recv().context("the thread that starts brokers is gone")?.map_err(|error| explain(&tool, error))
}

/// Runs a tool to its end; what it printed is in the error if it fails.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let tool = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Limited, because a download could otherwise overlap with that of the next test process.
    let output = spawn_bound(command)?.wait_with_output()?;
    let printed = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "{tool} failed ({}):\n{}",
        output.status,
        tail(&String::from_utf8_lossy(&printed))
    );
    Ok(())
}

fn explain(tool: &str, error: io::Error) -> anyhow::Error {
    let advice = "install it (`apt-get install -y default-jre-headless maven`) \
                  or set TEST_KAFKA_BROKERS to a running broker";
    anyhow::Error::new(error).context(format!("cannot run {tool}, which the tests' own Kafka needs: {advice}"))
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(LOG_TAIL_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

pub(crate) fn free_port() -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on the loopback")
}
