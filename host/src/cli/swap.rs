//! The settings of how versions of the plugin are swapped, read and checked.

use super::CliError;
use super::sources::Sources;
use crate::config::{SwapConfig, values};

/// How versions of the plugin are swapped.
pub(super) fn config(sources: &Sources<'_>) -> Result<SwapConfig, CliError> {
    let count = |text: &str| values::count(text, 0..=u64::MAX);
    Ok(SwapConfig {
        watch: sources.value("watch", |text| values::either(text, ["on", "off"]))?,
        max_regressions: sources.value("swap-max-regressions", count)?,
        probation: sources.value("probation", |text| values::whole(text, 0..=u64::MAX))?,
        probation_tolerance: sources.value("probation-tolerance", values::share)?,
        provenance: sources.value("provenance", |text| values::either(text, ["headers", "off"]))?,
    })
}
