//! Passes each record on as it is.

use mapper_sdk::{Output, Record, mapper};

mapper!(map_record);

/// Called for each record; what it returns is written to the output topic. An error sends the record to the dead letters.
pub fn map_record(_record: &Record<'_>) -> Result<Output, String> {
    Ok(Output::keep())
}
