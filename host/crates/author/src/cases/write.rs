//! Writes a case.

use mapper_core::record::Record;
use mapper_core::verdict::Verdict;
use serde_json::Value;

use super::{Expected, view};
use crate::records::record_to_json;

/// A line with a case whose expected result is this verdict.
pub fn write(name: &str, record: Record<'_>, verdict: Verdict<'_>) -> String {
    let result = view::blessed(&Expected::Unspecified, verdict, record);
    let fields = [("name", Value::from(name).to_string()), ("input", Value::from(record_to_json(record)).to_string())];
    let fields: Vec<String> =
        fields.into_iter().chain(result).map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use mapper_core::record::Batch;
    use mapper_core::verdict::{Columns, Failure, FailureKind, Verdicts};

    use super::*;
    use crate::cases::parse;

    #[test]
    fn written_case_is_read_with_the_same_record_and_result() {
        let mut batch = Batch::new("visits");
        let headers = [(&b"h"[..], Some(&b"\xff"[..]))];
        batch.push((2, 7), 5, Some(b"k"), Some(b"\xff\0"), headers.into_iter());
        let record = batch.record(0);
        let mut verdicts = Verdicts::default();
        verdicts.push_failure(Failure::new(FailureKind::Trap, "a \"b\"\nc"));
        let mut columns = Columns { statuses: vec![0], output_ends: vec![1], ..Columns::default() };
        columns.values.push(Some(b"{\"a\": 1.50}"));
        verdicts.push_columns(columns);
        let lines: Vec<String> = verdicts.iter().map(|verdict| write("from <x>", record, verdict)).collect();
        assert!(lines[0].ends_with(r#""error": "a \"b\"\nc", "kind": "trap"}"#), "{}", lines[0]);
        assert!(lines[1].ends_with(r#""output": {"value": {"a": 1.50}}}"#), "{}", lines[1]);
        let cases = parse(&lines.join("\n")).unwrap();
        assert_eq!(cases.len(), 2);
        assert_eq!(cases[0].name.as_deref(), Some("from <x>"));
        let mut again = Batch::new("visits");
        cases[0].input.push_to(&mut again, 0);
        assert_eq!(record_to_json(again.record(0)), record_to_json(record));
    }
}
