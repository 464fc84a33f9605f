//! The settings of the heading "Topics", read and checked.

use super::sources::{Given, Sources};
use super::{CliError, readers};
use crate::config::{InputPolicy, OnGap, OnTopicRecreated, values};
use mapper_core::input_topics::{InputTopics, TopicPattern};

/// The topics of a run.
pub(super) struct Topics {
    pub(super) input: InputTopics,
    pub(super) output: String,
    pub(super) dead_letters: String,
    pub(super) states: String,
    pub(super) extra: Vec<String>,
    pub(super) ledger: Option<String>,
}

impl Topics {
    /// # Errors
    /// When a name is not legal, or a topic has two uses.
    pub(super) fn read(sources: &Sources<'_>) -> Result<Self, CliError> {
        let (input, from) = input_topics(sources)?;
        let output = sources.present("output-topic");
        let dead_letters = sources.present("dead-letter-topic");
        let extra = sources.list("extra-topic");
        let ledger = sources.find("ledger-topic");
        let states = sources.find("state-topic");
        let mut taken: Vec<(&Given, String)> = Vec::new();
        for given in [&output, &dead_letters].into_iter().chain(&ledger).chain(&states).chain(&extra) {
            let topic = given.read(values::topic)?;
            if input.contains(&topic) {
                let what = if input.pattern().is_some() {
                    "matches the pattern of the input topics"
                } else {
                    "is also the input topic"
                };
                return Err(
                    given.refuse(&format!("it {what} ({from}): what the host writes would come in again, without end"))
                );
            }
            if let Some((other, _)) = taken.iter().find(|(_, name)| *name == topic) {
                return Err(given.refuse(&format!(
                    "{other} names the same topic; outputs, dead letters, their states and the ledger need topics of their own, to be told apart"
                )));
            }
            taken.push((given, topic));
        }
        let mut names = taken.into_iter().map(|(_, name)| name);
        let (output, dead_letters) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let ledger = ledger.as_ref().and_then(|_| names.next());
        let given_states = states.as_ref().and_then(|_| names.next());
        let extra: Vec<String> = names.collect();
        let states = given_states.unwrap_or_else(|| readers::default_state_topic(&dead_letters));
        let is_written = || [&output].into_iter().chain(&ledger).chain(&extra).any(|topic| *topic == states);
        if input.contains(&states) || is_written() {
            let message = format!(
                "default of --state-topic: {states:?} is not allowed: it is also an input or an output topic; the states of dead letters \
                 need a topic of their own"
            );
            return Err(CliError::Setting { name: "state-topic", message });
        }
        Ok(Self { input, output, dead_letters, states, extra, ledger })
    }
}

/// The input topics, and where they were given.
fn input_topics(sources: &Sources<'_>) -> Result<(InputTopics, Given), CliError> {
    let single = sources.present("input-topic");
    let mut several = sources.texts("input-topics");
    if let Some(given) = several.first().filter(|_| single.explicit()) {
        return Err(given
            .refuse(&format!("{single} is given, too. Give one of them: input-topic for one topic, or input-topics")));
    }
    if several.iter().any(|given| TopicPattern::is_pattern(&given.text)) {
        let pattern = several.remove(0);
        if !several.is_empty() || !TopicPattern::is_pattern(&pattern.text) {
            return Err(pattern.refuse("give one pattern alone, or only names"));
        }
        let wrong = |why| format!("it is not a regular expression: {why}");
        let topics = InputTopics::Pattern(pattern.read(|text| TopicPattern::new(text).map_err(wrong))?);
        return Ok((topics, pattern));
    }
    let several: Vec<Given> = several.iter().flat_map(Given::split).collect();
    let mut names = Vec::new();
    for given in &several {
        let name = given.read(values::topic)?;
        if names.contains(&name) {
            return Err(given.refuse("it is given twice"));
        }
        names.push(name);
    }
    match several.into_iter().next() {
        Some(first) => Ok((InputTopics::Names(names), first)),
        None => Ok((InputTopics::one(single.read(values::topic)?), single)),
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
