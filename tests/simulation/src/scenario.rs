//! What one run is about: how large everything is, and what goes wrong how often. Each kind of fault is left out of about half of the
//! runs, so that some of them meet few faults at a time, and others meet many.

use std::time::Duration;

use crate::random::Random;

/// How often requests fail, and processes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Share of the requests that never arrive.
    pub(crate) request_lost: f64,
    /// Share of the requests whose answer is lost.
    pub(crate) answer_lost: f64,
    /// Share of the requests that are carried out after the client gave up.
    pub(crate) late: f64,
    /// Share of the requests that the broker refuses at the moment.
    pub(crate) refused: f64,
    /// Share of the requests before or after which the process dies.
    pub(crate) crash: f64,
    /// Share of the requests during which the process is frozen, as a virtual machine that is moved.
    pub(crate) freeze: f64,
    /// Share of the requests that take up to a second.
    pub(crate) slow: f64,
    /// Share of the records after which the producer sends what it has buffered.
    pub(crate) sends_early: f64,
}

/// How often guests fail.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Guests {
    /// Share of the records that a sound version traps on, each time that it gets them.
    pub(crate) trap: f64,
    /// Share of the records that a faulty version traps on.
    pub(crate) faulty_trap: f64,
    /// Share of the versions that are faulty.
    pub(crate) faulty: f64,
    /// Share of the calls that take seconds.
    pub(crate) slow: f64,
}

/// What an input record asks of its mapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One output.
    One,
    /// Two outputs, to two topics.
    Two,
    /// No output.
    Skip,
    /// The mapper rejects it.
    Reject,
    /// The mapper traps on it, whatever version it is.
    Trap,
    /// An output that is larger than the topic takes.
    Large,
    /// An output without a key to a topic that may require one.
    Keyless,
    /// The host dies of it.
    Deadly,
}

impl Kind {
    const ALL: [(Self, &str); 8] = [
        (Self::One, "one"),
        (Self::Two, "two"),
        (Self::Skip, "skip"),
        (Self::Reject, "reject"),
        (Self::Trap, "trap"),
        (Self::Large, "large"),
        (Self::Keyless, "keyless"),
        (Self::Deadly, "deadly"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn from_value(value: &[u8]) -> Self {
        let found = Self::ALL.iter().find(|(_, name)| name.as_bytes() == value);
        found.map_or(Self::Reject, |(kind, _)| *kind)
    }
}

/// The settings of a run.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) hosts: usize,
    pub(crate) workers: usize,
    pub(crate) partitions: i32,
    pub(crate) output_partitions: usize,
    pub(crate) records: usize,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) is_exactly_once: bool,
    pub(crate) commit_records: usize,
    pub(crate) commit_interval: Duration,
    pub(crate) batch_records: usize,
    pub(crate) breaker_after: u32,
    pub(crate) holds_records: bool,
    pub(crate) names_rejected: bool,
    pub(crate) marker_delay: Duration,
    /// The broker rejects larger outputs, which the hosts may not know at first.
    pub(crate) max_record_bytes: usize,
    pub(crate) needs_key: bool,
    pub(crate) swaps: usize,
    pub(crate) probation_records: u64,
    pub(crate) shutdowns: usize,
    pub(crate) has_ledger: bool,
    pub(crate) faults: Faults,
    pub(crate) guests: Guests,
    /// From here on nothing fails any more.
    pub(crate) faults_until: Duration,
}

impl Scenario {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut often = |least: f64, most: f64| {
            let steps = random.number(0, 7);
            if steps < 4 { 0.0 } else { least + (most - least) * (steps - 4) as f64 / 3.0 }
        };
        let faults = Faults {
            request_lost: often(0.002, 0.02),
            answer_lost: often(0.002, 0.03),
            late: often(0.002, 0.02),
            refused: often(0.01, 0.1),
            crash: often(0.0005, 0.006),
            freeze: often(0.001, 0.01),
            slow: often(0.01, 0.1),
            sends_early: often(0.05, 0.5),
        };
        let guests = Guests {
            trap: often(0.02, 0.3),
            faulty_trap: often(0.2, 1.0),
            faulty: often(0.3, 0.8),
            slow: often(0.01, 0.1),
        };
        let mut kinds = vec![Kind::One; 3];
        for (kind, share) in [
            (Kind::Two, 0.7),
            (Kind::Skip, 0.5),
            (Kind::Reject, 0.6),
            (Kind::Trap, 0.3),
            (Kind::Large, 0.3),
            (Kind::Keyless, 0.3),
        ] {
            if random.chance(share) {
                kinds.push(kind);
            }
        }
        if random.chance(0.05) {
            kinds.push(Kind::Deadly);
        }
        let breaker_after = random.pick(&[0, 0, 2, 4]);
        if breaker_after > 0 {
            // Nobody repairs the plugin, so the breaker would stay open at such a record.
            kinds.retain(|kind| *kind != Kind::Trap);
        }
        let scenario = Self {
            hosts: random.number(1, 3),
            workers: random.number(1, 2),
            partitions: random.number(1, 4) as i32,
            output_partitions: random.number(1, 2),
            records: random.number(5, 60),
            kinds,
            is_exactly_once: random.chance(0.8),
            commit_records: random.pick(&[1, 2, 5, 10, 50]),
            commit_interval: random.pick(&[
                Duration::from_millis(20),
                Duration::from_millis(200),
                Duration::from_secs(2),
            ]),
            batch_records: random.pick(&[1, 3, 10, 50]),
            breaker_after,
            holds_records: random.chance(0.5),
            names_rejected: random.chance(0.7),
            marker_delay: Duration::from_millis(random.pick(&[1, 5, 100, 1000])),
            max_record_bytes: random.pick(&[usize::MAX, 2000]),
            needs_key: random.chance(0.3),
            swaps: random.pick(&[0, 0, 1, 2, 4]),
            probation_records: random.pick(&[0, 5, 20]),
            shutdowns: random.pick(&[0, 0, 1, 2]),
            faults,
            guests,
            faults_until: random.millis(5_000, 40_000),
            has_ledger: false,
        };
        // Not from the random numbers, so that a seed without a ledger does the same as before.
        Self { has_ledger: scenario.records.is_multiple_of(2), ..scenario }
    }
}
