//! Reads and checks the settings of hot swap.

use super::sources::Sources;
use super::{CliError, readers};
use crate::config::{SwapConfig, values};

/// Reads the settings of hot swap. `is_demo` is true without brokers.
pub(super) fn config(sources: &Sources<'_>, is_demo: bool) -> Result<SwapConfig, CliError> {
    let count = |text: &str| values::count(text, 0..=u64::MAX);
    Ok(SwapConfig {
        watch: sources.optional("watch", |text| values::either(text, ["on", "off"]))?.unwrap_or(is_demo),
        max_regressions: sources.value("swap-max-regressions", count)?,
        probation: sources.value("probation", |text| values::whole(text, 0..=u64::MAX))?,
        probation_tolerance: sources.value("probation-tolerance", values::share)?,
        provenance: readers::provenance(sources)?,
    })
}
