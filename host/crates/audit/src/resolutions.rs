//! What redrives have done about failed records, by the resolutions in the state topic.

use std::collections::BTreeMap;

/// What a resolution says of a failed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolutionOutcome {
    /// Its outputs are written.
    Redriven,
    /// It failed again, so there is a new letter.
    FailedAgain,
    /// It was written to its input topic again.
    Returned,
    /// It is not processed any more. No redrive did that.
    Discarded,
}

/// A resolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolution {
    pub(crate) partition: u32,
    /// In the order of the state topic.
    number: u32,
    pub(crate) offset: i64,
    pub(crate) outcome: ResolutionOutcome,
    /// Whether its transaction was committed before the topics were read.
    pub(crate) is_settled: bool,
}

/// Sums over resolutions of redrives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RedriveSums {
    pub(crate) records: u64,
    /// By output topic.
    pub(crate) outputs: Vec<u64>,
}

/// The resolutions in the order of their records, once they are sorted.
#[derive(Debug, Default)]
pub(crate) struct Resolutions {
    all: Vec<Resolution>,
    /// For each resolution by its number, the outputs to each audited topic.
    outputs: Vec<u32>,
    topics: usize,
    pub(crate) settled: RedriveSums,
    pub(crate) total: RedriveSums,
}

impl Resolutions {
    /// `topics` is the number of audited output topics.
    pub(crate) fn new(topics: usize) -> Self {
        let none = RedriveSums { records: 0, outputs: vec![0; topics] };
        Self { all: Vec::new(), outputs: Vec::new(), topics, settled: none.clone(), total: none }
    }

    /// `outputs` are those of each audited topic.
    pub(crate) fn add(
        &mut self,
        (partition, offset): (u32, i64),
        outcome: ResolutionOutcome,
        outputs: impl Iterator<Item = u64>,
        is_settled: bool,
    ) {
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(Resolution { partition, number, offset, outcome, is_settled });
        let is_of_redrive = outcome != ResolutionOutcome::Discarded;
        let mut sums = [Some(&mut self.total), is_settled.then_some(&mut self.settled)];
        for sums in sums.iter_mut().flatten().filter(|_| is_of_redrive) {
            sums.records += 1;
        }
        for (topic, count) in outputs.enumerate() {
            sums.iter_mut().flatten().for_each(|sums| sums.outputs[topic] += count);
            self.outputs.push(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    pub(crate) fn sort(&mut self) {
        self.all.sort_unstable_by_key(|one| (one.partition, one.offset, one.number));
    }

    /// The resolutions of each record, in the order of the state topic.
    pub(crate) fn by_record(&self) -> impl Iterator<Item = &[Resolution]> {
        self.all.chunk_by(|one, other| (one.partition, one.offset) == (other.partition, other.offset))
    }

    /// The resolutions of a record.
    pub(crate) fn of(&self, partition: u32, offset: i64) -> &[Resolution] {
        let from = self.all.partition_point(|one| (one.partition, one.offset) < (partition, offset));
        let count =
            self.all[from..].iter().take_while(|one| (one.partition, one.offset) == (partition, offset)).count();
        &self.all[from..from + count]
    }

    /// Whether redrives have written the outputs of a record.
    pub(crate) fn is_redriven(&self, partition: u32, offset: i64) -> bool {
        self.of(partition, offset).iter().any(|one| one.outcome == ResolutionOutcome::Redriven)
    }

    /// The outputs of the record of these resolutions to a topic: those that are settled, and all.
    pub(crate) fn outputs(&self, of_record: &[Resolution], topic: usize) -> (u64, u64) {
        let redriven = of_record.iter().filter(|one| one.outcome == ResolutionOutcome::Redriven);
        redriven.fold((0, 0), |(settled, all), one| {
            let count = u64::from(self.outputs[one.number as usize * self.topics + topic]);
            (settled + if one.is_settled { count } else { 0 }, all + count)
        })
    }
}

/// The outputs of a resolution to these topics.
pub(crate) fn outputs_to<'a>(
    topics: &'a [String],
    outputs: &'a BTreeMap<String, u64>,
) -> impl Iterator<Item = u64> + 'a {
    topics.iter().map(|topic| outputs.get(topic).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::ResolutionOutcome::{Discarded, FailedAgain, Redriven};
    use super::*;

    #[test]
    fn resolutions_of_a_record_are_in_the_order_of_the_topic() {
        let mut resolutions = Resolutions::new(2);
        resolutions.add((1, 7), FailedAgain, [0, 0].into_iter(), true);
        resolutions.add((0, 7), Discarded, [0, 0].into_iter(), true);
        resolutions.add((1, 7), Redriven, [2, 1].into_iter(), true);
        resolutions.add((1, 7), Redriven, [0, 3].into_iter(), false);
        resolutions.sort();
        let outcomes: Vec<_> = resolutions.of(1, 7).iter().map(|one| one.outcome).collect();
        assert_eq!(outcomes, [FailedAgain, Redriven, Redriven]);
        let of_record = resolutions.of(1, 7);
        assert_eq!((resolutions.outputs(of_record, 0), resolutions.outputs(of_record, 1)), ((2, 2), (1, 4)));
        assert!(resolutions.is_redriven(1, 7) && !resolutions.is_redriven(0, 7) && resolutions.of(1, 8).is_empty());
        assert_eq!(resolutions.by_record().count(), 2);
        assert_eq!(resolutions.settled, RedriveSums { records: 2, outputs: vec![2, 1] });
        assert_eq!(resolutions.total, RedriveSums { records: 3, outputs: vec![2, 4] });
    }
}
