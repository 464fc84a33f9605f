//! The web console at its scale: `cargo bench -p host --bench console -- [--requests N] [--pairs N] [--letters N] [--pipelines N]
//! [--host PATH]`, where PATH is another build of the host.
//!
//! One host runs 200 pipelines on a real Kafka. One of them has an input topic of 1 000 partitions, and a dead-letter topic with 1 000 000
//! letters in 100 groups, some of them with lines of 1 MiB. Printed are the times of each page, the first request apart, and what ten open
//! tabs cost: CPU time of the host, and throughput of a pipeline under full load, with the tabs and without in turn.

mod http;
mod pages;
mod scale;
mod tabs;

use std::time::Duration;

use harness::kafka::Kafka;

use scale::{Scale, World};

/// A page must be there after this time.
const LIMIT: Duration = Duration::from_millis(200);

struct Options {
    requests: usize,
    pairs: usize,
    scale: Scale,
    host: &'static str,
}

impl Options {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        let mut options =
            Self { requests: 20, pairs: 6, scale: Scale::default(), host: env!("CARGO_BIN_EXE_mapper-host") };
        for pair in arguments.chunks(2) {
            let [flag, value] = pair else { panic!("{pair:?}: give a flag and a value") };
            if flag == "--host" {
                options.host = value.clone().leak();
                continue;
            }
            let value: usize = value.parse().unwrap_or_else(|error| panic!("{flag} {value}: {error}"));
            match flag.as_str() {
                "--requests" => options.requests = value,
                "--pairs" => options.pairs = value,
                "--letters" => options.scale.letters = value,
                "--pipelines" => options.scale.pipelines = value,
                _ => panic!("{flag} is unknown; there are --requests, --pairs, --letters, --pipelines and --host"),
            }
        }
        options
    }
}

fn main() {
    let options = Options::read();
    let kafka = Kafka::start_for_load().expect("a Kafka");
    let world = World::build(&kafka, options.host, options.scale);
    // Others that share the machine begin to wait here.
    let _quiet = http::wait_for_quiet();
    let Scale { pipelines, partitions, letters, groups } = options.scale;
    println!(
        "\n{pipelines} pipelines, {partitions} partitions, {letters} letters in {groups} groups; memory of the host {:.0} MiB\n",
        world.rss_mib()
    );
    let slow = pages::measure(&world, options.requests);
    tabs::measure(&world, options.pairs);
    assert!(slow.is_empty(), "slower than {LIMIT:?}: {}", slow.join(", "));
}
