//! Chromium and its driver, for tests of pages; and axe-core, which finds barriers.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::broker_dir::target_dir;
use crate::kafka::run;

/// The Debian packages.
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];
/// The package of npm, with its version: a newer one could find more in the same page.
const AXE: &str = "axe-core@4.11.0";

/// How long chromedriver may take to end its browsers.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A running chromedriver. Dropping it ends it, and the browsers that it has started.
pub struct Driver {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Driver {
    /// Starts one on a free port. Installs the packages if this machine lacks them.
    ///
    /// # Panics
    /// If it can't be installed or started.
    pub fn start() -> Self {
        install().unwrap_or_else(|error| {
            panic!(
                "Chromium can not be installed: {error:#}. Install it: apt-get install {} (Debian)",
                PACKAGES.join(" ")
            )
        });
        let mut command = Command::new("chromedriver");
        command.args(["--port=0", "--allowed-ips=127.0.0.1"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("chromedriver was installed");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver names its port");
        // It would end when it writes to a closed pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Driver {
    /// Asks it to end its browsers and itself. A killed one leaves its browsers behind.
    fn request_shutdown(&self) -> std::io::Result<()> {
        let address = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /shutdown HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        if self.request_shutdown().is_ok() {
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn install() -> Result<()> {
    let has =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let lock = File::create(target_dir()?.join("browser.lock"))?;
    lock.lock()?;
    if has("chromedriver") && has("chromium") {
        return Ok(());
    }
    for arguments in [&["update", "-qq"][..], &["install", "-qqy", "--no-install-recommends", PACKAGES[0], PACKAGES[1]]]
    {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        run(apt)?;
    }
    if !has("chromedriver") || !has("chromium") {
        bail!("apt-get has installed no chromium and chromedriver");
    }
    Ok(())
}

/// The source of axe-core, from npm.
///
/// # Panics
/// If npm can't download it.
pub fn axe() -> String {
    let source = || -> Result<String> {
        let home: PathBuf = target_dir()?.join(AXE);
        fs::create_dir_all(&home)?;
        let lock = File::create(home.join("lock"))?;
        lock.lock()?;
        let script = home.join("package/axe.min.js");
        if !script.exists() {
            let mut npm = Command::new("npm");
            npm.args(["pack", "--silent", AXE]).current_dir(&home);
            run(npm)?;
            let archive = home.join(format!("{}.tgz", AXE.replace('@', "-")));
            let mut tar = Command::new("tar");
            tar.arg("-xzf").arg(&archive).current_dir(&home);
            run(tar)?;
        }
        fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))
    };
    source()
        .unwrap_or_else(|error| panic!("axe-core can not be downloaded: {error:#}. Install npm: apt-get install npm"))
}
