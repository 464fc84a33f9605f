//! The settings of hot swap.

/// The settings of hot swap.
#[derive(Debug, Clone, PartialEq)]
pub struct SwapConfig {
    /// Whether a change of the plugin file starts a swap. By default only in the demo: with brokers, each build would deploy.
    pub watch: bool,
    /// The number of broken records that a try-out accepts.
    pub max_regressions: usize,
    /// The number of records of a probation; 0 is no probation.
    pub probation: u64,
    /// The accepted increase of the share of dead letters in probation, from 0 to 1.
    pub probation_tolerance: f64,
    /// Whether outputs have headers with their version.
    pub provenance: bool,
}
