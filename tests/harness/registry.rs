//! A real schema registry (Apicurio), and a proxy before it that a test can close.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::broker_dir::target_dir;
use crate::kafka::{run, spawn_bound};

const VERSION: &str = "2.6.13.Final";
/// The path of the API of Confluent.
const API: &str = "/apis/ccompat/v7";
const START_TIMEOUT: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(200);

/// A registry that keeps its schemas in memory.
pub struct Registry {
    child: Mutex<Child>,
    port: u16,
}

impl Registry {
    /// The registry that all tests of this process share. It is started on first use, and downloaded with Maven if needed.
    ///
    /// # Panics
    /// If it can't be downloaded or started, for example without Java 17 or Maven.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Registry> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("the schema registry: {error:#}")))
    }

    fn start() -> Result<Self> {
        let jar = download()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut java = Command::new("java");
        java.args(["-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"]);
        java.arg(format!("-Dquarkus.http.port={port}")).arg("-jar").arg(&jar);
        let home = jar.parent().context("the jar has a folder")?;
        java.current_dir(home).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self { child: Mutex::new(spawn_bound(java).context("java")?), port };
        let deadline = Instant::now() + START_TIMEOUT;
        while registry.request("GET", "/subjects", None).is_err() {
            if Instant::now() > deadline {
                bail!("it does not answer at port {port} after {START_TIMEOUT:?}");
            }
            if let Some(status) = registry.child.lock().expect("no panic").try_wait()? {
                bail!("it has ended: {status}");
            }
            std::thread::sleep(POLL);
        }
        Ok(registry)
    }

    /// The URL for a host.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{API}", self.port)
    }

    /// Registers a schema. Returns its id.
    ///
    /// # Panics
    /// If the registry refuses it.
    pub fn register(&self, subject: &str, kind: &str, schema: &str) -> u32 {
        let body = json!({ "schema": schema, "schemaType": kind });
        let path = format!("/subjects/{subject}/versions");
        let answer = self.request("POST", &path, Some(&body)).unwrap_or_else(|error| panic!("{subject}: {error:#}"));
        id_of(subject, &answer)
    }

    /// The latest id of a subject.
    ///
    /// # Panics
    /// If the subject does not exist.
    pub fn latest(&self, subject: &str) -> u32 {
        let answer = self.request("GET", &format!("/subjects/{subject}/versions/latest"), None).expect("a version");
        id_of(subject, &answer)
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(
            stream,
            "{method} {API}{path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        if !head.split_whitespace().nth(1).is_some_and(|status| status.starts_with('2')) {
            bail!("{method} {path}: {head}\n{body}");
        }
        Ok(serde_json::from_str(body).unwrap_or_default())
    }
}

fn id_of(subject: &str, answer: &Value) -> u32 {
    answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("{subject}: {answer}"))
}

/// The program, unpacked.
fn download() -> Result<PathBuf> {
    let home = target_dir()?.join("registry").join(VERSION);
    fs::create_dir_all(&home)?;
    // Test processes run in parallel.
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let jar = home.join(format!("apicurio-registry-app-{VERSION}-runner.jar"));
    let marker = home.join("complete");
    if !marker.exists() {
        let mut mvn = Command::new("mvn");
        mvn.args(["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"]);
        mvn.arg(format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"));
        mvn.arg(format!("-DoutputDirectory={}", home.display())).current_dir(&home);
        run(mvn)?;
        let mut tar = Command::new("tar");
        tar.arg("xzf").arg(home.join(format!("apicurio-registry-app-{VERSION}-all.tar.gz"))).current_dir(&home);
        run(tar)?;
        find(&home, &jar)?;
        fs::write(&marker, VERSION)?;
    }
    Ok(jar)
}

/// Checks that the archive has the jar at its top.
fn find(home: &Path, jar: &Path) -> Result<()> {
    if jar.exists() {
        return Ok(());
    }
    let names: Vec<_> = fs::read_dir(home)?.flatten().map(|entry| entry.file_name()).collect();
    bail!("{} is not in the archive, which has {names:?}", jar.display())
}

impl Drop for Registry {
    fn drop(&mut self) {
        let mut child = self.child.lock().expect("no panic");
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A proxy before the registry. While it is down, it closes each connection.
pub struct Proxy {
    port: u16,
    is_down: Arc<AtomicBool>,
}

impl Proxy {
    /// A proxy that passes everything on.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start(registry: &Registry) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (port, target) = (listener.local_addr().expect("an address").port(), registry.port);
        let is_down = Arc::new(AtomicBool::new(false));
        let down = is_down.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if down.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                for (mut from, mut to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))]
                    .into_iter()
                    .filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
        Self { port, is_down }
    }

    /// The URL for a host.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{API}", self.port)
    }

    /// Closes each new connection, or passes it on again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }
}
