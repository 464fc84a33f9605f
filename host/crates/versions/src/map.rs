//! Maps one record for people, and produces nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use mapper_api::map::{MapFailure, MapHeader, MapOutput, MapResult};
use mapper_core::decision::Routes;
use mapper_core::identity::Version;
use mapper_core::record::{Batch, Record};
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_pipeline::contracts::Mapper;
use mapper_pipeline::guest::{GuestObserver, Renewal};

use super::outcome::{Outcome, OwnedOutput};
use super::recent::{excerpt, verdict_of};
use super::sample::position;

/// The most outputs of a result.
const MAX_OUTPUTS: usize = 20;
/// The most headers of an output.
const MAX_HEADERS: usize = 50;
/// The most bytes of a key, a value, a message, or the details of a failure.
const MAX_EXCERPT_BYTES: usize = 16 << 10;
/// The longest test case.
const MAX_CASE_BYTES: usize = 1 << 20;

/// The memory of the instance after the last call.
#[derive(Default)]
pub struct MemoryObserver(AtomicU64);

impl GuestObserver for MemoryObserver {
    fn renewed(&self, _: Renewal) {}

    fn set_memory(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// Maps the only record of the batch. `case` writes a test case from the record and its verdict.
pub fn map_record<M: Mapper>(
    mapper: &mut M,
    plugin: Version,
    batch: &Batch,
    routes: &Routes,
    memory: &Arc<MemoryObserver>,
    case: impl FnOnce(Record<'_>, Verdict<'_>) -> String,
) -> MapResult {
    let (record, mut verdicts, began) = (batch.record(0), Verdicts::default(), Instant::now());
    mapper.map(batch, &mut verdicts);
    let took = began.elapsed();
    let verdict = || verdicts.iter().next().expect("a mapper adds one verdict per record");
    let outcome = Outcome::from_verdict(record, verdict(), routes);
    let details = match verdict() {
        Verdict::Failed(failure) => failure.details.into_owned(),
        Verdict::Mapped(_) => String::new(),
    };
    let cut = |bytes: &[u8]| excerpt(bytes, MAX_EXCERPT_BYTES);
    let (failure, all): (_, &[OwnedOutput]) = match &outcome {
        Outcome::Failed { kind, message } => {
            let (kind, message) = (kind.to_string(), cut(message.as_bytes()));
            (Some(MapFailure { kind, message, details: cut(details.as_bytes()) }), &[])
        }
        Outcome::Produced(all) => (None, all),
    };
    let output = |output: &OwnedOutput| MapOutput {
        topic: output.topic(routes).to_owned(),
        key: output.key().map(cut),
        value: output.value().map(cut),
        headers: output
            .headers()
            .iter()
            .take(MAX_HEADERS)
            .map(|(name, value)| MapHeader { name: cut(name), value: value.as_deref().map(cut) })
            .collect(),
        timestamp_ms: output.timestamp_ms(),
    };
    MapResult {
        plugin,
        position: position(record),
        verdict: verdict_of(&outcome),
        failure,
        outputs: all.iter().take(MAX_OUTPUTS).map(output).collect(),
        more_outputs: all.len().saturating_sub(MAX_OUTPUTS) as u64,
        log: String::new(),
        mapping_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        memory_bytes: Some(memory.0.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0),
        case: Some(case(record, verdict())).filter(|case| case.len() <= MAX_CASE_BYTES),
    }
}
