//! Reads and checks the settings of `mapper-host generate`.

use super::readers::{MOST_PARTITIONS, connect_timeout, log};
use super::sources::Sources;
use super::{CliError, readers};
use crate::config::{GenerateConfig, Rhythm, values};
use mapper_visits::Profile;

const NO_BROKERS: &str = "give the brokers of the Kafka to fill with --brokers LIST, for example --brokers \
    localhost:9092 (or MAPPER_BROKERS); the demo on an embedded broker, mapper-host run without --brokers, generates its own visits";

/// Reads and checks the settings.
///
/// # Errors
/// The first wrong setting, its source, and the allowed values.
pub(super) fn config(sources: &Sources<'_>) -> Result<GenerateConfig, CliError> {
    let (brokers, kafka) = readers::kafka(sources)?;
    let share = |name| sources.value(name, values::share);
    Ok(GenerateConfig {
        brokers: brokers.ok_or_else(|| CliError::Wrong(NO_BROKERS.to_owned()))?,
        kafka,
        connect_timeout: connect_timeout(sources)?,
        topic: sources.value("topic", values::topic)?,
        create_topics: sources.optional("create-topics", |text| values::whole32(text, 1..=MOST_PARTITIONS))?,
        rhythm: sources.optional("rate", values::rate)?.map_or(Rhythm::Reference, Rhythm::Rate),
        count: sources.optional("count", |text| values::whole(text, 1..=u64::MAX))?,
        profile: Profile {
            seed: sources.value("seed", |text| values::whole(text, 0..=u64::MAX))?,
            missing_fields: share("missing-fields")?,
            unparseable: share("unparseable")?,
            duplicates: share("duplicates")?,
            late: share("late")?,
        },
        log: log(sources)?,
    })
}
