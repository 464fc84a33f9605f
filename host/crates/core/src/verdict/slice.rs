//! Parts of columns, for the few batches in which the host changes a verdict.

use std::ops::Range;

use super::{Columns, OutputHeaders, OutputTopics};

impl Columns {
    /// The number of the first output of a record.
    fn first_output(&self, record: usize) -> usize {
        record.checked_sub(1).map_or(0, |before| self.output_ends[before] as usize)
    }

    /// Copies the verdicts on some records.
    #[must_use]
    pub fn slice(&self, records: Range<usize>) -> Self {
        let outputs = self.first_output(records.start)..self.first_output(records.end);
        let rejected = |records: &[u8]| records.iter().filter(|status| **status == 1).count();
        let first_rejected = rejected(&self.statuses[..records.start]);
        let last_rejected = first_rejected + rejected(&self.statuses[records.clone()]);
        Self {
            statuses: self.statuses[records.clone()].to_vec(),
            output_ends: self.output_ends[records].iter().map(|end| end - outputs.start as u32).collect(),
            errors: self.errors.slice(first_rejected..last_rejected),
            values: self.values.slice(outputs.clone()),
            keys: self.keys.as_ref().map(|keys| keys.slice(outputs.clone())),
            topics: self.topics.as_ref().map(|topics| OutputTopics {
                names: topics.names.clone(),
                indexes: topics.indexes[outputs.clone()].to_vec(),
            }),
            headers: self.headers.as_ref().map(|headers| OutputHeaders {
                marks: headers.marks[outputs.clone()].to_vec(),
                table: headers.table.slice(outputs.clone()),
            }),
            timestamps_ms: self.timestamps_ms.as_ref().map(|timestamps| timestamps[outputs].to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Batch, Column, HeaderTable, Record};
    use crate::verdict::Verdict;

    /// Seven records: with 2, 0, 1 and 3 outputs, rejected, with 1 output, rejected.
    fn columns() -> Columns {
        let mut columns = Columns {
            statuses: vec![0, 0, 0, 0, 1, 0, 1],
            output_ends: vec![2, 2, 3, 6, 6, 7, 7],
            keys: Some(Column::default()),
            topics: Some(OutputTopics { names: vec!["other".into()], indexes: vec![0, 1, 0, 1, 0, 1, 0] }),
            headers: Some(OutputHeaders { marks: vec![0; 7], table: HeaderTable::default() }),
            timestamps_ms: Some((0..7).collect()),
            ..Columns::default()
        };
        columns.errors.push(Some(b"first"));
        columns.errors.push(Some(b"second"));
        for output in 0..7_u8 {
            columns.values.push((output != 3).then_some(&[output][..]));
            columns.keys.as_mut().unwrap().push(Some(&[output, output]));
            let table = &mut columns.headers.as_mut().unwrap().table;
            (0..output % 3).for_each(|header| table.push((b"h", Some(&[header]))));
            table.end_record();
        }
        columns.check(7).unwrap();
        columns
    }

    fn shown(verdict: &Verdict<'_>, input: Record<'_>) -> String {
        match verdict {
            Verdict::Failed(failure) => failure.text(),
            Verdict::Mapped(outputs) => {
                let output = |output: super::super::Output<'_>| {
                    let headers = output.own_headers().map(|headers| format!("{:?}", headers.collect::<Vec<_>>()));
                    format!(
                        "{:?} {:?} {:?} {headers:?} {:?};",
                        output.topic(),
                        output.key(input),
                        output.value(input),
                        output.timestamp_ms(input)
                    )
                };
                outputs.clone().map(output).collect()
            }
        }
    }

    #[test]
    fn slice_has_the_verdicts_of_its_records() {
        let columns = columns();
        let mut batch = Batch::new("visits");
        batch.push((0, 0), 1, None, None, std::iter::empty());
        let all: Vec<String> = columns.verdicts().map(|verdict| shown(&verdict, batch.record(0))).collect();
        for start in 0..=7 {
            for end in start..=7 {
                let slice = columns.slice(start..end);
                slice.check(end - start).unwrap();
                let found: Vec<String> = slice.verdicts().map(|verdict| shown(&verdict, batch.record(0))).collect();
                assert_eq!(found, all[start..end], "{start}..{end}");
            }
        }
    }
}
