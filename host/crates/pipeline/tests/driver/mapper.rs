//! A mapper that executes the command in the value of a record.

use std::ops::Range;

use super::*;
use mapper_core::record::Column;
use mapper_core::verdict::{Columns, Failure, OutputTopics};

/// All commands. `bad` is mapped to an output that the broker rejects. The broker rejects `refuse` in every record, also in a
/// dead letter. `sick` traps as often as the fake is configured to. (`deadly` crashes the process, and is
/// not in this list.)
pub(super) const VALUES: [&str; 12] = [
    "skip",
    "one",
    "two",
    "three",
    "reject",
    "trap",
    "sick",
    "nowhere",
    "huge",
    "bad@send",
    "bad@commit",
    "refuse@send",
];

/// The expected final result of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handled {
    /// Outputs, as routes and values.
    Outputs(Vec<(RouteIndex, Vec<u8>)>),
    DeadLetter(FailureKind),
    /// Either an output or a dead letter, depending on when the record was mapped.
    OutputOr(FailureKind),
}

pub(super) fn handled(value: &str) -> Handled {
    match value {
        "reject" => Handled::DeadLetter(FailureKind::Rejected),
        "sick" => Handled::OutputOr(FailureKind::Trap),
        "deadly" => Handled::DeadLetter(FailureKind::HostCrash),
        "trap" => Handled::DeadLetter(FailureKind::Trap),
        "nowhere" => Handled::DeadLetter(FailureKind::InvalidOutput),
        "huge" => Handled::DeadLetter(FailureKind::Oversize),
        refused if refused.contains('@') => Handled::DeadLetter(FailureKind::Undeliverable),
        _ => Handled::Outputs(outputs(value).into_iter().map(|(topic, value)| (topic as usize, value)).collect()),
    }
}

/// The outputs of a value: indexes of topics, and values.
fn outputs(value: &str) -> Vec<(u32, Vec<u8>)> {
    let all = [(0, b"1st".to_vec()), (1, b"2nd".to_vec()), (0, b"3rd".to_vec())];
    match value {
        "skip" => vec![],
        "one" | "sick" => all[..1].to_vec(),
        "two" => all[..2].to_vec(),
        "three" => all.to_vec(),
        "nowhere" => vec![all[0].clone(), (2, vec![])],
        "huge" => vec![all[0].clone(), (0, vec![b'x'; 2000])],
        refused => vec![all[0].clone(), (1, refused.replace("bad", "refuse").into_bytes())],
    }
}

pub(super) struct ByValue(pub(super) Fake);

impl ByValue {
    fn is_sick(&self, value: &str) -> bool {
        let mut kafka = self.0.kafka();
        let sick = value == "sick" && kafka.sick > 0;
        kafka.sick -= usize::from(sick);
        sick
    }
}

impl Mapper for ByValue {
    fn prepare(&mut self, _: &Batch, _: Range<usize>) -> Result<(), Unavailable> {
        match self.0.kafka().call(Call::Prepare) {
            Ok(Some(Event::Unavailable)) => Err(Unavailable { reason: "the registry is away".to_owned() }),
            _ => Ok(()),
        }
    }

    fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        let deadly = records.clone().any(|index| batch.record(index).value() == Some(b"deadly"));
        if deadly || matches!(self.0.kafka().call(Call::Map), Ok(Some(Event::Die))) {
            // Simulates the crash of the process, without a message.
            std::panic::resume_unwind(Box::new("a death"));
        }
        for (index, record) in records.map(|index| batch.record(index)).enumerate() {
            let value = std::str::from_utf8(record.value().unwrap()).unwrap();
            if value == "trap" || self.is_sick(value) {
                return verdicts.push_failure(Failure::new(FailureKind::Trap, "unreachable"));
            }
            let mut columns = Columns { statuses: vec![u8::from(value == "reject")], ..Columns::default() };
            let mut topics =
                OutputTopics { names: vec!["other".into(), "elsewhere".into()], ..OutputTopics::default() };
            if value == "reject" {
                columns.errors.push(Some(b"no"));
            } else {
                for (topic, value) in outputs(value) {
                    topics.indexes.push(topic);
                    columns.values.push(Some(&value));
                }
            }
            columns.output_ends = vec![columns.values.len() as u32];
            // Empty columns keep all fields of the record.
            if index % 2 == 0 {
                let mut keys = Column::default();
                topics.indexes.iter().for_each(|_| keys.push(record.key()));
                columns.keys = Some(keys);
            }
            columns.topics = Some(topics);
            columns.check(1).unwrap();
            verdicts.push_columns(columns);
        }
    }
}
