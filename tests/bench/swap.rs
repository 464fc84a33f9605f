//! What a swap costs the workers, and what it leaves behind: `cargo bench -p host --bench swap`.
//!
//! First, two workers map visits without end, on a source and a sink in memory that cost nothing; a thousand times another version is
//! swapped in through all of its steps. Printed are the pauses of the workers, and the memory of the process. Then a host on a real
//! Kafka is given versions with digests of their own under load, and its memory is printed; it ends with an error if that grows.

#[path = "swap/soak.rs"]
mod soak;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mapper_api::versions::{Step, SwapOutcome};
use mapper_core::dead_letter::{DeadLetters, HeaderSet, Origin};
use mapper_core::decision::{Routes, TopicLimits};
use mapper_core::identity::Identity;
use mapper_core::record::{Batch, Header, Positions, SourcePositions};
use mapper_core::shutdown::Shutdown;
use mapper_pipeline::{
    BreakerRecords, BreakerSettings, CommitPolicy, CommittedRange, Driver, FailurePolicy, Fetched, LedgerNames,
    Outgoing, Parts, Settings, Sink, SinkError, Source, SourceError, SystemClock,
};
use mapper_runtime::{Effort, Engine, Limits, Plugin, PluginMapper};
use mapper_state::files::PrivateDir;
use mapper_state::in_flight::{InFlightMarkers, WorkerMarker};
use mapper_telemetry::{Telemetry, TelemetryObserver};
use mapper_versions::probation::ProbationSettings;
use mapper_versions::store::Store;
use mapper_versions::swapper::{
    LoadedVersion, Policy, Refusal, Reply, Request, RequestQueue, SwapContext, Swapper, VersionLoader,
};
use mapper_versions::tryout::Trial;
use mapper_versions::{ActiveVersion, Journal, Slot, Trigger, WorkerSlot};
use mapper_visits::{Generator, Profile};

// That of the host: with another one, memory says nothing of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// With this argument only the host on a real Kafka is measured.
const ONLY_SOAK: &str = "soak";
const WORKERS: usize = 2;
const SWAPS: usize = 1000;
/// Of these each is compiled; the others find their code in the cache, as after a rollback.
const COMPILED: usize = 50;
const BATCH: usize = 500;

/// Visits without end.
struct Endless {
    batch: Batch,
    next: i64,
    records: Arc<AtomicU64>,
}

impl Source for Endless {
    fn fetch(&mut self, batch: &mut Batch, _: usize, _: Duration) -> Result<Fetched, SourceError> {
        batch.clone_from(&self.batch);
        batch.offsets.iter_mut().for_each(|offset| *offset += self.next);
        self.next += batch.len() as i64;
        self.records.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(Fetched::Records)
    }

    fn attend(&mut self, _: Duration) -> Result<Fetched, SourceError> {
        Ok(Fetched::Idle)
    }

    fn settle(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn rewind(&mut self, _: &Positions) -> Result<(), SourceError> {
        Ok(())
    }

    fn uncommitted_ends(&mut self) -> Positions {
        Positions::new()
    }

    fn finished(&mut self) -> Option<Positions> {
        None
    }

    fn positions(&self) -> SourcePositions {
        [(0, Some(self.next))].into()
    }

    fn committed_range(&self, _: i32) -> CommittedRange {
        CommittedRange::default()
    }
}

/// Takes everything.
struct Nowhere;

impl Sink for Nowhere {
    fn begin(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn send<'h>(&mut self, _: Outgoing<'_>, headers: &mut dyn Iterator<Item = Header<'h>>) -> Result<(), SinkError> {
        headers.for_each(drop);
        Ok(())
    }

    fn commit(&mut self, _: &Positions) -> Result<(), SinkError> {
        Ok(())
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn topic_limits(&mut self) -> Vec<Option<TopicLimits>> {
        Vec::new()
    }
}

struct Bench(Arc<Engine>);

impl VersionLoader for Bench {
    type Plugin = Plugin;
    type Mapper = PluginMapper;

    fn load(&self, bytes: &[u8]) -> Result<Plugin, Refusal> {
        Plugin::from_bytes(&self.0, bytes, &[], Effort::OneThread)
            .map_err(|error| Refusal::new(Step::Compile, error.reason))
    }

    fn identity<'p>(&self, plugin: &'p Plugin) -> &'p Identity {
        &plugin.identity
    }

    fn create_mapper(&self, plugin: &Arc<Plugin>, _: Option<usize>) -> Result<PluginMapper, Refusal> {
        PluginMapper::prepared(plugin.clone()).map_err(|failure| Refusal::new(Step::Configure, failure.text()))
    }

    fn run_cases(&self, _: &Plugin, _: &mut Trial) -> Result<(), Refusal> {
        Ok(())
    }

    fn set_active(&self, _: &Arc<Plugin>, _: Trigger, _: Option<std::path::PathBuf>) {}

    fn read_committed(&self, _: &[i32]) -> Positions {
        Positions::new()
    }
}

/// The same plugin with another digest: a custom section more.
fn variant(plugin: &[u8], number: usize) -> Vec<u8> {
    let name = format!("n{number:06}");
    let payload = [&[name.len() as u8], name.as_bytes()].concat();
    [plugin, &[0, payload.len() as u8], &payload].concat()
}

/// Memory of a process that is in RAM, in MiB.
fn rss(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn work(
    number: usize,
    slot: Arc<Slot<PluginMapper>>,
    active_version: Arc<ActiveVersion>,
    plugin: Arc<Plugin>,
    end: Shutdown,
    records: Arc<AtomicU64>,
) {
    let mut batch = Batch::new("visits");
    for (offset, row) in Generator::new(Profile::default()).take(BATCH).enumerate() {
        let key = row.key.as_ref().map(String::as_bytes);
        batch.push((0, offset as i64), 0, key, Some(row.value.as_bytes()), std::iter::empty());
    }
    let source = Endless { batch, next: 0, records };
    let routes = Arc::new(Routes::with_default_limits(&["reduced"], "dlq"));
    let settings = Settings {
        worker: number,
        topic: "visits".into(),
        routes,
        ledger: LedgerNames::default(),
        commit: CommitPolicy { interval: Duration::from_millis(100), records: 20_000, bytes: 16 << 20 },
        batch_records: BATCH,
        provenance: false,
        failures: FailurePolicy {
            halt_on_error_ratio: None,
            error_ratio_window: 1000,
            breaker: BreakerSettings { after: 100, records: BreakerRecords::DeadLetter, retry: Duration::from_secs(1) },
        },
        ends_by_itself: false,
    };
    let origin = Origin {
        group: "bench".into(),
        worker: number,
        plugin_name: active_version.version.name.clone(),
        plugin_version: active_version.version.version.clone(),
        plugin_digest: active_version.version.digest.clone(),
        contract: active_version.contract,
    };
    let parts = Parts {
        source,
        mapper: PluginMapper::new(plugin),
        sink: Nowhere,
        versions: WorkerSlot::new(slot, number, active_version),
        in_flight: Box::new(WorkerMarker::new(Arc::new(InFlightMarkers::none()), number)),
        observer: Box::new(TelemetryObserver::new(Arc::new(Telemetry::default()), number)),
        clock: Arc::new(SystemClock),
        dead_letters: DeadLetters::new(origin, HeaderSet::default(), TopicLimits::default()),
        shutdown: end,
    };
    let mut driver = Driver::new(parts, &settings);
    driver.run().expect("nothing fails here");
}

fn main() {
    mapper_host::memory::disable_huge_pages();
    let path = harness::plugins::build(env!("CARGO_BIN_EXE_mapper-host"), "plugins/reduce_visit");
    let bytes = std::fs::read(path).expect("it was built");
    if std::env::args().all(|argument| argument != ONLY_SOAK) {
        pauses(&bytes);
    }
    soak::run(env!("CARGO_BIN_EXE_mapper-host"), &bytes);
}

/// A thousand swaps in this process, with the pauses that they cost.
fn pauses(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = Engine::new(Limits::default(), Some(dir.path().join("cache"))).expect("an engine");
    let loader = Bench(Arc::new(engine));
    let plugin = Arc::new(loader.load(&variant(bytes, 0)).expect("it loads"));
    let journal = Arc::new(Journal::open(PrivateDir::open(dir.path()).expect("a private folder")).expect("a journal"));
    let (term, _) = journal.start_with((&plugin.identity).into());
    let active_version =
        Arc::new(ActiveVersion { term: term.number, version: term.version, contract: plugin.identity.contract });
    let slot = Arc::new(Slot::new(WORKERS, term.number, 1000, journal, false));
    let requests = Arc::new(RequestQueue::new(slot.wakeup.clone()));
    let probation = ProbationSettings { records: 1000, tolerance: 0.05 };
    let policy = Policy { max_broken: 0, probation, answer_timeout: Duration::from_secs(60) };
    let routes = Arc::new(Routes::with_default_limits(&["reduced"], "dlq"));
    let store = Some(Store::new(dir.path().join("plugins")));
    let first = LoadedVersion { plugin: plugin.clone(), active: active_version.clone() };
    let swapper = Swapper::new(loader, first, slot.clone(), requests.clone(), SwapContext { routes, policy, store });
    let (end, records) = (Shutdown::default(), Arc::new(AtomicU64::new(0)));
    std::thread::scope(|scope| {
        for number in 0..WORKERS {
            let (slot, active_version, plugin) = (slot.clone(), active_version.clone(), plugin.clone());
            let (end, records) = (end.clone(), records.clone());
            scope.spawn(move || work(number, slot, active_version, plugin, end, records));
        }
        drop((plugin, active_version));
        scope.spawn(|| {
            mapper_versions::priority::lower_current_thread();
            swapper.run(&end);
        });
        let (mut pauses, mut took, mut memory) = (Vec::new(), Vec::new(), vec![(0, rss("self"))]);
        let (began, before) = (Instant::now(), records.load(Ordering::Relaxed));
        for swap in 1..=SWAPS {
            let number = if swap <= COMPILED { swap } else { swap % 2 };
            let request =
                Request::Swap { bytes: variant(bytes, number), by: Trigger::Http, force: false, dry_run: false };
            let reply = requests.submit(request).expect("one at a time").blocking_recv().expect("an answer");
            let Reply::Report(report) = reply else { unreachable!("a swap was asked for") };
            assert_eq!(report.outcome, SwapOutcome::Swapped, "{report:?}");
            pauses.push(report.pause_us as f64 / 1000.0);
            took.push(report.took_ms as f64);
            if [10, 100, 250, 500, 750, SWAPS].contains(&swap) {
                memory.push((swap, rss("self")));
            }
        }
        let mapped = records.load(Ordering::Relaxed) - before;
        println!(
            "{SWAPS} swaps, of which {COMPILED} were compiled; {WORKERS} workers, {:.0} records/s meanwhile\n",
            mapped as f64 / began.elapsed().as_secs_f64()
        );
        println!("| | p50 | p99 | most |\n|---|---|---|---|");
        println!("| pause of a worker, ms | {} |", quantiles(&mut pauses, 3));
        println!("| from request to answer, compiled, ms | {} |", quantiles(&mut took[..COMPILED], 0));
        println!("| from request to answer, from the cache, ms | {} |\n", quantiles(&mut took[COMPILED..], 0));
        println!("| after swaps | RSS, MiB |\n|---|---|");
        memory.iter().for_each(|(swaps, mib)| println!("| {swaps} | {mib:.0} |"));
        end.request();
        slot.wakeup.notify();
    });
}

fn quantiles(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [0.5, 0.99, 1.0].map(|share| format!("{:.digits$}", at(share))).join(" | ")
}
