//! Reads and checks the settings of the heading "Failures".

use std::time::Duration;

use super::CliError;
use super::sources::Sources;
use crate::config::{BreakerRecords, BreakerSettings, FailurePolicy, Failures, HeaderSet, values};

/// A window needs a few bytes per record and worker.
const LARGEST_WINDOW: u64 = 1_000_000;
const SHORTEST_RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Reads and checks the settings.
///
/// # Errors
/// See [`super::run::config`].
pub(super) fn config(sources: &Sources<'_>) -> Result<Failures, CliError> {
    let window = sources.present("error-ratio-window");
    let ratio = sources.optional("halt-on-error-ratio", share)?;
    if window.explicit() && ratio.is_none() {
        return Err(window.refuse("it has no effect without --halt-on-error-ratio; give that, too, or leave this out"));
    }
    let after = sources.value("breaker-after", |text| values::whole32(text, 0..=u32::MAX))?;
    let records = sources.present("breaker-records");
    let breaker_records =
        records.read(|text| values::one_of(text, &[BreakerRecords::DeadLetter, BreakerRecords::Hold]))?;
    if after == 0 && breaker_records == BreakerRecords::Hold {
        return Err(records.refuse("with --breaker-after 0 no breaker opens, so no records are held"));
    }
    let retry = sources.value("breaker-retry", |text| values::duration(text, SHORTEST_RETRY..=LONGEST_RETRY))?;
    let policy = FailurePolicy {
        halt_on_error_ratio: ratio,
        error_ratio_window: window.read(|text| values::count(text, 1..=LARGEST_WINDOW))?,
        breaker: BreakerSettings { after, records: breaker_records, retry },
    };
    let poison_after = sources.value("poison-after", |text| values::whole32(text, 0..=1000))?;
    let dead_letter_headers = sources.value("dead-letter-headers", |text| values::one_of(text, &HeaderSet::ALL))?;
    Ok(Failures { policy, poison_after, dead_letter_headers })
}

/// Above 0, because 0 would end the host at the first record.
fn share(text: &str) -> values::Read<f64> {
    values::share(text)
        .ok()
        .filter(|share| *share > 0.0)
        .ok_or_else(|| "give a share above 0, up to 1, such as 0.9".to_owned())
}
