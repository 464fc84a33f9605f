//! How versions of the plugin are swapped.

/// How versions of the plugin are swapped.
#[derive(Debug, Clone, PartialEq)]
pub struct SwapConfig {
    /// Whether a change of the plugin file is a swap. By default only in the demo: with brokers, a build would deploy.
    pub watch: bool,
    /// How many of the last records may fail with a new version that used to pass.
    pub max_regressions: usize,
    /// How many records a new version is watched for; 0: it is not.
    pub probation: u64,
    /// By how much its share of failures may be higher meanwhile, from 0 to 1.
    pub probation_tolerance: f64,
    /// Whether outputs say in headers which version made them.
    pub provenance: bool,
}
