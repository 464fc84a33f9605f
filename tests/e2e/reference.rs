//! The reference data through the real binary, verdict for verdict.

use std::collections::BTreeMap;

use harness::host::Job;
use harness::kafka::Kafka;
use harness::reference::cases;
use harness::topics;
use serde_json::Value;

use crate::{HOST, reduce_visit};

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{:?}: {error}", String::from_utf8_lossy(text)))
}

#[test]
fn reference_data_has_the_verdicts_of_the_reference_job() {
    let cases = cases();
    for (delivery, workers) in [("exactly-once", "2"), ("at-least-once", "1")] {
        let job = Job::new(Kafka::shared(), "reference", HOST, &reduce_visit());
        topics::produce(
            job.kafka,
            &job.input,
            cases.iter().enumerate().map(|(number, case)| case.record().header("case", number.to_string())),
        );
        let ended = job.run_to_end(&["--delivery", delivery, "--workers", workers]);
        assert!(
            ended.output.contains("1403 outputs, 1597 dead letters (1597 rejected), 0 skipped"),
            "{}",
            ended.output
        );

        let number = |record: &topics::Record| -> usize {
            let header = record.headers.iter().find(|(name, _)| name == "case").expect("headers are kept");
            String::from_utf8_lossy(header.1.as_ref().expect("a value")).parse().expect("a number")
        };
        let mut seen = BTreeMap::new();
        for record in topics::read_all(job.kafka, &job.output) {
            let case = &cases[number(&record)];
            assert!(seen.insert(number(&record), "reduced").is_none(), "twice: {record:?}");
            let reduced = case.reduced.as_ref().unwrap_or_else(|| panic!("should have failed: {record:?}"));
            assert_eq!(json(&record.value.expect("a value")), json(reduced.as_bytes()));
            assert_eq!(record.key.as_deref(), case.key.as_ref().map(String::as_bytes));
        }
        for record in topics::read_all(job.kafka, &job.dead_letters) {
            let case = &cases[number(&record)];
            assert!(seen.insert(number(&record), "dead").is_none(), "twice: {record:?}");
            let error = case.error.as_ref().unwrap_or_else(|| panic!("should have passed: {record:?}"));
            let letter = json(record.value.as_deref().expect("a value"));
            assert_eq!(letter["input_json"], case.value.as_str());
            let message = letter["error_message"].as_str().expect("a message");
            if error.starts_with("fromisoformat") {
                assert_eq!(message, error);
            } else {
                assert!(message.starts_with("not a visit: "), "{message}");
            }
            assert_eq!(record.key.as_deref(), case.key.as_ref().map(String::as_bytes));
        }
        assert_eq!(seen.len(), cases.len());
        let ends: Vec<Option<i64>> = topics::end_offsets(job.kafka, &job.input).into_iter().map(Some).collect();
        let committed: Vec<Option<i64>> =
            topics::committed(job.kafka, &job.group, &job.input).into_iter().map(|(_, offset)| offset).collect();
        assert_eq!(committed, ends);
    }
}
