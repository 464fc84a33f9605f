//! Memory of a real host over swaps: a process on a real Kafka, with its own allocator and its own Kafka clients.
//!
//! The swaps of the other half run in this process, on fakes, and compile few versions; they don't show what stays in a host.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::host::{Host, Job};
use harness::kafka::Kafka;
use harness::topics::{self, NewRecord};
use mapper_api::versions::SwapOutcome;
use mapper_host::remote::client::Client;
use mapper_visits::{Generator, Profile};

const RECORDS_PER_SECOND: usize = 6_000;
/// The producer sleeps after so many records.
const PORTION: usize = 100;
const SWAPS: usize = 150;
const PAUSE: Duration = Duration::from_millis(300);
/// How long records flow before the first swap.
const WARM_UP: Duration = Duration::from_secs(10);
/// Of the swaps, each that is a multiple of this is a rollback, and each that is a multiple of the next is refused.
const ROLLBACK_EVERY: usize = 10;
const REFUSED_EVERY: usize = 7;
/// After so many swaps the memory is what it needs.
const SETTLED: usize = 25;
/// And by so much it may grow from there on.
const MOST_GROWTH_MIB: f64 = 32.0;

/// Swaps versions with digests of their own while records flow, and prints the memory of the host.
pub(super) fn run(binary: &'static str, plugin: &[u8]) {
    let kafka = Kafka::start_for_load().expect("a Kafka");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("plugin.wasm");
    fs::write(&path, plugin).expect("a file");
    let job = Job::new(&kafka, "soak", binary, &path);
    let mut host = job.start(&["--admin", "127.0.0.1:0"]);
    let client = client(&mut host);
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| topics::produce(&kafka, &job.input, visits(&ends)));
        let measured = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| swap(&host, &client, plugin)));
        ends.store(true, Ordering::Relaxed);
        measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn client(host: &mut Host) -> Client {
    const SAID: &str = "admin server address=";
    host.wait_for(SAID);
    let output = host.output();
    let address = output.split_once(SAID).and_then(|(_, rest)| rest.split_whitespace().next()).expect("an address");
    Client::new(&format!("http://{address}"), None).expect("a client")
}

/// Visits at a rate, until they are to end.
fn visits(ends: &AtomicBool) -> impl Iterator<Item = NewRecord> {
    let began = Instant::now();
    let visits = Generator::new(Profile::default()).enumerate().take_while(|_| !ends.load(Ordering::Relaxed));
    visits.map(move |(sent, visit)| {
        if sent % PORTION == 0 {
            let due = Duration::from_secs_f64(sent as f64 / RECORDS_PER_SECOND as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        NewRecord::value(visit.value)
    })
}

fn swap(host: &Host, client: &Client, plugin: &[u8]) {
    std::thread::sleep(WARM_UP);
    println!("\n{SWAPS} swaps of a host on Kafka, each compiled, at {RECORDS_PER_SECOND} records/s\n");
    println!("| after swaps | RSS, MiB |\n|---|---|\n| 0 | {:.0} |", rss(host));
    let mut settled = f64::INFINITY;
    for swap in 1..=SWAPS {
        let candidate = super::variant(plugin, swap);
        let report = match swap {
            swap if swap % ROLLBACK_EVERY == 0 => client.rollback(),
            swap if swap % REFUSED_EVERY == 0 => client.swap(candidate[..candidate.len() - 1].to_vec(), false, false),
            _ => client.swap(candidate, false, false),
        };
        let report = report.unwrap_or_else(|error| panic!("{error}: {}", host.output()));
        let is_refused = report.outcome == SwapOutcome::Refused;
        assert_eq!(is_refused, swap % ROLLBACK_EVERY != 0 && swap % REFUSED_EVERY == 0, "{report:?}");
        if [1, 10, SETTLED, 50, 100, SWAPS].contains(&swap) {
            println!("| {swap} | {:.0} |", rss(host));
        }
        if swap == SETTLED {
            settled = rss(host);
        }
        std::thread::sleep(PAUSE);
    }
    let end = rss(host);
    assert!(end <= settled + MOST_GROWTH_MIB, "the host grew from {settled:.0} to {end:.0} MiB");
}

fn rss(host: &Host) -> f64 {
    super::rss(&host.id().to_string())
}
