//! The rules of decisions.

use super::*;
use crate::record::{Batch, Column};
use crate::verdict::{Columns, OutputTopics, Verdicts};

fn routes() -> Routes {
    let route = |topic: &str, max_record_bytes| Route {
        topic: topic.into(),
        limits: TopicLimits { max_record_bytes, ..TopicLimits::default() },
    };
    Routes {
        outputs: vec![route("reduced", 200), route("other", 150)],
        dead_letters: route("dlq", 1000),
        ledger: None,
        states: None,
        added_bytes: 0,
    }
}

/// Decides on outputs, each with a topic and the size of its value.
fn decided(outputs: &[(Option<&str>, usize)]) -> String {
    let mut batch = Batch::new("visits");
    batch.push((0, 0), 1, Some(b"key"), Some(b"value"), [(&b"h"[..], Some(&b"v"[..]))].into_iter());
    let mut topics = OutputTopics::default();
    let mut values = Column::default();
    for (topic, bytes) in outputs {
        values.push(Some(&vec![b'x'; *bytes]));
        topics.indexes.push(topic.map_or(0, |topic| {
            topics.names.push(topic.to_owned());
            topics.names.len() as u32
        }));
    }
    let output_ends = vec![outputs.len() as u32];
    let columns = Columns { statuses: vec![0], output_ends, values, topics: Some(topics), ..Columns::default() };
    columns.check(1).unwrap();
    let mut verdicts = Verdicts::default();
    verdicts.push_columns(columns);
    let verdict = verdicts.iter().next().unwrap();
    match decide(batch.record(0), verdict, &routes(), 0) {
        Decision::Skip => "skip".to_owned(),
        Decision::ProduceOne(route, _) => format!("one to {route}"),
        Decision::Produce(all) => format!("to {:?}", all.iter().map(|(route, _)| *route).collect::<Vec<_>>()),
        Decision::DeadLetter(failure) => format!("{}: {}", failure.kind, failure.message),
    }
}

#[test]
fn all_outputs_are_produced_or_none() {
    for (outputs, expected) in [
        (&[][..], "skip"),
        (&[(None, 5)], "one to 0"),
        (&[(Some("reduced"), 5)], "one to 0"),
        (&[(Some("other"), 5)], "one to 1"),
        (&[(None, 5), (Some("other"), 5), (None, 0)], "to [0, 1, 0]"),
        (
            &[(None, 5), (Some("visits_dlq"), 5)],
            "invalid-output: the output topic 'visits_dlq' is not one the host was started with (reduced, other); \
             add it with --extra-topic",
        ),
        (&[(None, 84)], "one to 0"),
        (&[(None, 85)], "oversize: an output of 201 bytes is larger than the topic 'reduced' takes (200 bytes)"),
        (
            &[(None, 1), (Some("other"), 84)],
            "oversize: an output of 200 bytes is larger than the topic 'other' takes (150 bytes)",
        ),
    ] {
        assert_eq!(decided(outputs), expected, "{outputs:?}");
    }
}

#[test]
fn failure_is_a_dead_letter_of_the_same_kind() {
    let mut batch = Batch::new("visits");
    batch.push((0, 0), 1, None, None, std::iter::empty());
    for kind in FailureKind::ALL {
        let verdict = Verdict::Failed(Failure::new(kind, "why"));
        assert!(matches!(decide(batch.record(0), verdict, &routes(), 0),
            Decision::DeadLetter(failure) if failure.kind == kind && failure.message == "why"));
    }
}

#[test]
fn propagated_trace_headers_count_for_the_size() {
    use crate::record::KEEP;
    use crate::verdict::OutputHeaders;
    let traceparent = (&b"traceparent"[..], Some(&b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"[..]));
    let mut batch = Batch::new("visits");
    batch.push((0, 0), 1, None, None, [traceparent].into_iter());
    batch.push((0, 1), 1, None, None, std::iter::empty());
    for (mark, record, fits) in [(crate::record::BYTES, 0, false), (KEEP, 0, false), (crate::record::BYTES, 1, true)] {
        let mut headers = OutputHeaders { marks: vec![mark], ..OutputHeaders::default() };
        headers.table.end_record();
        let mut values = Column::default();
        values.push(Some(&[b'x'; 60]));
        let (statuses, output_ends) = (vec![0], vec![1]);
        let columns = Columns { statuses, output_ends, values, headers: Some(headers), ..Columns::default() };
        columns.check(1).unwrap();
        let decision = decide(batch.record(record), columns.verdict(0, 0), &routes(), 0);
        assert_eq!(decision.failure().is_none(), fits, "{mark} {record}: {decision:?}");
    }
}
