//! The settings of the heading "Topics", read and checked.

use super::CliError;
use super::sources::{Given, Sources};
use crate::config::{InputPolicy, OnGap, OnTopicRecreated, values};

/// The topics of a run.
pub(super) struct Topics {
    pub(super) input: String,
    pub(super) output: String,
    pub(super) dead_letters: String,
    pub(super) extra: Vec<String>,
}

impl Topics {
    /// # Errors
    /// When a name is not legal, or a topic has two uses.
    pub(super) fn read(sources: &Sources<'_>) -> Result<Self, CliError> {
        let from = sources.present("input-topic");
        let input = from.read(values::topic)?;
        let output = sources.present("output-topic");
        let dead_letters = sources.present("dead-letter-topic");
        let extra = sources.list("extra-topic");
        let mut taken: Vec<(&Given, String)> = Vec::new();
        for given in [&output, &dead_letters].into_iter().chain(&extra) {
            let topic = given.read(values::topic)?;
            if topic == input {
                return Err(given.refuse(&format!(
                    "it is also the input topic ({from}): what the host writes would come in again, without end"
                )));
            }
            if let Some((other, _)) = taken.iter().find(|(_, name)| *name == topic) {
                return Err(given.refuse(&format!(
                    "{other} names the same topic; outputs and dead letters need topics of their own, to be told apart"
                )));
            }
            taken.push((given, topic));
        }
        let mut names = taken.into_iter().map(|(_, name)| name);
        let (output, dead_letters) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        Ok(Self { input, output, dead_letters, extra: names.collect() })
    }
}

/// What to do about an input topic that changed.
pub(super) fn input_policy(sources: &Sources<'_>) -> Result<InputPolicy, CliError> {
    let restart_or_halt = |text: &str| values::either(text, ["restart", "halt"]);
    let continue_or_halt = |text: &str| values::either(text, ["continue", "halt"]);
    let restarts = sources.value("on-topic-recreated", restart_or_halt)?;
    let continues = sources.value("on-gap", continue_or_halt)?;
    Ok(InputPolicy {
        on_topic_recreated: if restarts { OnTopicRecreated::Restart } else { OnTopicRecreated::Halt },
        on_gap: if continues { OnGap::Continue } else { OnGap::Halt },
        input_is_dead_letters: sources.value("input-is-dead-letters", values::switch)?,
    })
}
