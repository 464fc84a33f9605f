//! The answer of `/v1/pipelines`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::Rates;

/// The state of a pipeline that no host known to the console runs.
pub const ELSEWHERE: &str = "elsewhere";
/// The state of a pipeline whose host does not answer to the console.
pub const UNREACHABLE: &str = "unreachable";

/// One pipeline of the list. The rest is at `/v1/pipelines/NAME/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineSummary {
    /// Its name.
    pub name: String,
    /// `starting`, `running`, `restarting` after it halted, `halted` for good, or `ended`. From `mapper-host console` also `unreachable`
    /// if the host does not answer, and `elsewhere` if the console does not know a host of the pipeline; the figures are then 0.
    pub state: String,
    /// How often it was started, this time included.
    pub generation: u64,
    /// Whether it is ready.
    pub ready: bool,
    /// Why not: `who: why`.
    #[schemars(extend("x-payload" = "sentence"))]
    pub not_ready: Vec<String>,
    /// The name and the version of its plugin; null while it is being loaded.
    pub plugin: Option<String>,
    /// The consumer group.
    pub group: String,
    /// The input topic; several with commas between them; or the pattern.
    pub input_topic: String,
    /// Input records that are committed.
    pub records_in: u64,
    /// Dead letters that are committed.
    pub dead_letters: u64,
    /// Records that are still to be fetched of its partitions, as far as is known.
    pub lag: u64,
    /// Rates over the last seconds.
    pub rates: Rates,
    /// The number of partitions that this host has.
    pub partitions: usize,
    /// The workers with an open breaker.
    pub open_breakers: usize,
    /// The time that 99 % of the calls of the plugin did not exceed in the last sample, in milliseconds; null without calls.
    pub mapping_p99_ms: Option<f64>,
    /// Input records per second in each minute of the last hour, the oldest first.
    pub last_hour: Vec<f64>,
}
