//! The same job by others: this host with plugins in four languages, beside a native consumer, Kafka Streams, the parts of Redpanda
//! Connect, and PyFlink.
//!
//! `cargo bench -p host --bench peers -- [--records N] [--rounds N] [--only PEER]…`. All read the same visits, run in turn on the same
//! broker, are measured from outside in the same way, and must write the same records as the native job. A peer that can't be built
//! is left out, with the reason. README.md in this folder describes the peers.

mod build;
#[path = "../job/committed.rs"]
mod committed;
mod compare;
#[path = "../job/ends.rs"]
mod ends;
#[path = "../job/flags.rs"]
mod flags;
#[path = "../job/input.rs"]
#[expect(dead_code, reason = "the benchmark of the whole job compares checksums")]
mod input;
#[path = "../job/median.rs"]
mod median;
#[path = "../job/native.rs"]
mod native;
mod peer;
mod process;
mod report;
#[path = "../job/topics.rs"]
mod topics;
mod watch;

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use harness::kafka::Kafka;
use tempfile::TempDir;

use compare::{Compared, Outputs};
use input::{Input, Shape};
use peer::{Peer, Program};
use report::Row;
use topics::{Case, PARTITIONS, RUN_TIMEOUT, Topics};
use watch::Run;

// As in the host, so that it makes no difference to the native job.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The host that cargo built for this benchmark.
const HOST: &str = env!("CARGO_BIN_EXE_mapper-host");

/// What the command line says.
struct Options {
    records: u64,
    rounds: usize,
    only: Vec<Peer>,
}

impl Options {
    fn read(args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { records: 1_000_000, rounds: 5, only: Vec::new() };
        for (flag, value) in flags::read(args)? {
            match flag.as_str() {
                "--records" => options.records = value.parse().with_context(|| format!("{value} is no number"))?,
                "--rounds" => options.rounds = value.parse().with_context(|| format!("{value} is no number"))?,
                "--only" => options.only.push(peer_of(&value)?),
                _ => bail!("unknown flag {flag}; there are --records, --rounds and --only"),
            }
        }
        ensure!(options.records >= 1000 && options.rounds >= 1, "at least 1000 records and one round are needed");
        Ok(options)
    }

    fn wants(&self, peer: Peer) -> bool {
        self.only.is_empty() || self.only.contains(&peer)
    }
}

fn peer_of(name: &str) -> Result<Peer> {
    let names = Peer::ALL.map(Peer::name).join(", ");
    let found = Peer::ALL.into_iter().find(|peer| peer.name() == name);
    found.with_context(|| format!("there is no peer '{name}', but {names}"))
}

/// The broker and the folders of one run of the benchmark.
struct Bench {
    options: Options,
    kafka: Kafka,
    dir: TempDir,
}

/// What the native job wrote, as it is compared with other jobs.
struct Reference {
    topics: Topics,
    outputs: HashMap<Compared, Outputs>,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|command| command == native::COMMAND) {
        return native::main(&args[2..]);
    }
    let options = Options::read(args.into_iter().skip(1))?;
    let target = harness::target_dir()?;
    let mut left_out = Vec::new();
    let mut programs = Vec::new();
    for peer in Peer::ALL.into_iter().filter(|peer| options.wants(*peer)) {
        eprintln!("Building {} …", peer.name());
        match build::build(peer, &target) {
            Ok(program) => programs.push((peer, program)),
            Err(reason) => left_out.push((peer, reason)),
        }
    }
    let bench = Bench { options, kafka: Kafka::start_for_load()?, dir: TempDir::new()? };
    let rows = bench.measure(&programs, &mut left_out)?;
    report::print(&rows);
    for (peer, reason) in left_out {
        println!("\nLeft out: {}: {reason}", peer.title());
    }
    let cores = std::thread::available_parallelism()?;
    println!("\nOn a machine of {cores} cores, with the broker on it.");
    Ok(())
}

impl Bench {
    /// Runs all peers once in each round. One that fails is left out from then on.
    fn measure(&self, programs: &[(Peer, Program)], left_out: &mut Vec<(Peer, String)>) -> Result<Vec<Row>> {
        let input = Input::fill(
            &self.kafka,
            Shape { records: self.options.records, failing: None, min_bytes: 0, partitions: PARTITIONS },
        )?;
        println!(
            "{} visits, of which {} can be reduced; medians of {} rounds (least–most)\n",
            input.records, input.good, self.options.rounds
        );
        let mut reference = self.reference(&input)?;
        let empty = |peer: Peer| Row { peer, runs: Vec::new(), duplicates: 0 };
        let mut rows: Vec<Row> = programs.iter().map(|(peer, _)| empty(*peer)).collect();
        for round in 1..=self.options.rounds {
            for (peer, program) in programs {
                let Some(row) = rows.iter_mut().find(|row| row.peer == *peer) else { continue };
                match self.run(*peer, program, &input, &mut reference) {
                    Ok((run, duplicates)) => {
                        eprintln!("Round {round}: {}: {:.0} records/s", peer.name(), run.records_per_second);
                        row.runs.push(run);
                        row.duplicates += duplicates;
                    }
                    Err(error) => {
                        eprintln!("Round {round}: {}: {error:#}", peer.name());
                        left_out.push((*peer, format!("{error:#}")));
                        rows.retain(|row| row.peer != *peer);
                    }
                }
            }
        }
        Ok(rows)
    }

    /// The outputs to expect. The run isn't measured: it also warms up the broker.
    fn reference(&self, input: &Input) -> Result<Reference> {
        let topics = Topics::after(&self.kafka, &input.topic, PARTITIONS);
        self.watch(Peer::Native, &Program::Native, &topics)?;
        let outputs = Outputs::read(self.kafka.brokers(), &topics, Peer::Native.compared())?;
        let expected = (input.good, input.records - input.good);
        ensure!(outputs.counts() == expected, "the native job wrote {:?} instead of {expected:?}", outputs.counts());
        Ok(Reference { topics, outputs: HashMap::from([(Peer::Native.compared(), outputs)]) })
    }

    /// One run over all of the input, whose outputs are compared; with the number of duplicates.
    fn run(&self, peer: Peer, program: &Program, input: &Input, reference: &mut Reference) -> Result<(Run, u64)> {
        let topics = Topics::after(&self.kafka, &input.topic, PARTITIONS);
        let run = self.watch(peer, program, &topics)?;
        let outputs = Outputs::read(self.kafka.brokers(), &topics, peer.compared())?;
        let duplicates = outputs.duplicates(reference.outputs(self.kafka.brokers(), peer.compared())?)?;
        topics.delete(&self.kafka);
        Ok((run, duplicates))
    }

    fn watch(&self, peer: Peer, program: &Program, topics: &Topics) -> Result<Run> {
        let command = peer.command(program, self, topics)?;
        let log = self.dir.path().join(harness::topics::unique("log"));
        watch::run(command, log, self.kafka.brokers(), topics, self.options.records)
    }
}

impl Reference {
    fn outputs(&mut self, brokers: &str, compared: Compared) -> Result<&Outputs> {
        if !self.outputs.contains_key(&compared) {
            self.outputs.insert(compared, Outputs::read(brokers, &self.topics, compared)?);
        }
        Ok(&self.outputs[&compared])
    }
}
