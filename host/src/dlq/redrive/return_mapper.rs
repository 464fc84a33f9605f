//! Sends records to their input topics again, unchanged.

use std::ops::Range;

use mapper_core::record::{Batch, KEEP};
use mapper_core::verdict::{Columns, OutputTopics, Verdicts};
use mapper_pipeline::contracts::Mapper;

/// A mapper whose output is its input.
pub(super) struct ReturnMapper;

impl Mapper for ReturnMapper {
    fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        let mut columns = Columns { statuses: vec![0; records.len()], ..Columns::default() };
        let mut topics = OutputTopics { names: Vec::new(), indexes: Vec::new() };
        for record in batch.records_in(records) {
            columns.values.push_marked(KEEP, b"");
            columns.output_ends.push(columns.values.len() as u32);
            let known = topics.names.iter().position(|name| **name == *record.topic());
            let index = known.unwrap_or_else(|| {
                topics.names.push(record.topic().into());
                topics.names.len() - 1
            });
            // 0 is the default topic.
            topics.indexes.push(index as u32 + 1);
        }
        columns.topics = Some(topics);
        let checked = columns.check(columns.statuses.len());
        verdicts.push_columns(checked.map(|()| columns).expect("one output for each record"));
    }
}
