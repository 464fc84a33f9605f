//! The settings of how versions of the plugin are swapped, read and checked.

use super::CliError;
use super::sources::Sources;
use crate::config::{SwapConfig, values};

/// How versions of the plugin are swapped. `is_demo`: there are no brokers, so nothing is in production.
pub(super) fn config(sources: &Sources<'_>, is_demo: bool) -> Result<SwapConfig, CliError> {
    let count = |text: &str| values::count(text, 0..=u64::MAX);
    Ok(SwapConfig {
        watch: sources.optional("watch", |text| values::either(text, ["on", "off"]))?.unwrap_or(is_demo),
        max_regressions: sources.value("swap-max-regressions", count)?,
        probation: sources.value("probation", |text| values::whole(text, 0..=u64::MAX))?,
        probation_tolerance: sources.value("probation-tolerance", values::share)?,
        provenance: sources.value("provenance", |text| values::either(text, ["headers", "off"]))?,
    })
}
