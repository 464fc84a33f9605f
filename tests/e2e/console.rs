//! The console in a real browser: stories with clicks, with and without JavaScript, and what must be true of every page.

mod audit;
mod browser;
mod every_page;
mod keyboard;
mod letters;
mod live;
mod other_hosts;
mod playground;
mod reference_data;
mod versions;

use std::fs;

use harness::browser::Driver;
use harness::host::{Host, Job};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use tempfile::TempDir;

use crate::HOST;
use crate::swap::version;
use browser::Tab;

/// A host with a plugin file, records that it has mapped, and a browser.
struct Stage<'k> {
    job: Job<'k>,
    host: Host,
    /// The address of the console.
    url: String,
    dir: TempDir,
    driver: Driver,
}

impl Stage<'_> {
    /// Starts a host with the version of this word, which maps these records.
    fn new(name: &str, word: &str, records: &[&[u8]], args: &[&str]) -> Self {
        let stage = Self::with_plugin(name, &version(word), args);
        stage.produce(records, records.len() as u64);
        stage
    }

    /// Starts a host with this plugin.
    fn with_plugin(name: &str, bytes: &[u8], args: &[&str]) -> Self {
        let dir = TempDir::new().expect("a folder");
        let plugin = dir.path().join("plugin.wasm");
        fs::write(&plugin, bytes).expect("a file");
        let job = Job::new(Kafka::shared(), name, HOST, &plugin);
        let all: Vec<&str> = [&["--admin", "127.0.0.1:0", "--watch", "off", "--log-level", "info"][..], args].concat();
        let mut host = job.start(&all);
        let address = crate::admin::address(&mut host);
        crate::admin::wait_until_ready(&address);
        Self { job, host, url: format!("http://{address}/console"), dir, driver: Driver::start() }
    }

    /// Produces records, and waits until the host has committed this number of records in all.
    fn produce(&self, records: &[&[u8]], committed: u64) {
        topics::produce(self.job.kafka, &self.job.input, records.iter().map(|value| NewRecord::value(*value)));
        crate::admin::wait_until_committed(self.address(), committed);
    }

    fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches("/console")
    }

    /// The path of a file with the version of a word, to upload it.
    fn plugin(&self, word: &str) -> String {
        let path = self.dir.path().join(format!("{word}.wasm"));
        fs::write(&path, version(word)).expect("a file");
        path.display().to_string()
    }

    fn page(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

/// Runs a story in a new browser window.
fn in_browser(driver: &Driver, has_scripts: bool, story: impl AsyncFnOnce(Tab)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let tab = Tab::open(&driver.url, has_scripts).await;
        story(tab.clone()).await;
        tab.close().await;
    });
}
