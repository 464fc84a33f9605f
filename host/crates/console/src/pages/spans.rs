//! Which version was active for which offsets of a partition, as a bar.

use std::collections::BTreeMap;

use mapper_api::status::Partition;
use mapper_api::versions::{SpanView, TermView};
use maud::Markup;

use crate::chart::{Segment, bar};
use crate::format::safe;

/// The spans of each partition with their terms, the oldest first. A page with many partitions searches the history once.
pub(super) struct SpansByPartition<'h>(BTreeMap<(Option<&'h str>, i32), Spans<'h>>);

type Spans<'h> = Vec<(&'h TermView, &'h SpanView)>;

impl<'h> SpansByPartition<'h> {
    /// `history` has the latest term first.
    pub(super) fn new(history: &'h [TermView]) -> Self {
        let mut by_partition: BTreeMap<_, Spans<'_>> = BTreeMap::new();
        for term in history.iter().rev() {
            for (key, spans) in &term.offsets {
                let spans = spans.iter().map(|span| (term, span));
                by_partition.entry((key.topic.as_deref(), key.partition)).or_default().extend(spans);
            }
        }
        Self(by_partition)
    }

    /// The bar of a partition, from the first known offset to its end; `None` if no version has mapped a record of it.
    /// `link` is the address of the letters of a range of records.
    pub(super) fn bar(&self, partition: &Partition, link: impl Fn(&str) -> String) -> Option<Markup> {
        // With a single input topic, the keys have none.
        let keys = [(Some(partition.topic.as_str()), partition.partition), (None, partition.partition)];
        let spans = keys.iter().find_map(|key| self.0.get(key))?;
        let end_of = |span: &SpanView| span.to.or(partition.position).unwrap_or(span.reached).max(span.reached);
        let first = spans.iter().map(|(_, span)| span.from).min()?;
        let last = spans.iter().map(|(_, span)| end_of(span)).chain(partition.end).max()?;
        let length = (last - first).max(1) as f64;
        let segments: Vec<Segment> = spans
            .iter()
            .map(|(term, span)| Segment {
                from: (span.from - first) as f64 / length,
                to: (end_of(span) - first) as f64 / length,
                colour: usize::try_from(term.number).unwrap_or_default(),
                title: title(term, span.from, end_of(span)),
                link: link(&range(partition, span)),
            })
            .collect();
        Some(bar(&segments, &format!("Versions of {}/{}", safe(&partition.topic), partition.partition)))
    }
}

/// The records of a span, as the filter of dead letters names them.
fn range(partition: &Partition, span: &SpanView) -> String {
    let Partition { topic, partition, .. } = partition;
    let end = span.to.filter(|to| *to > span.from).map(|to| to.to_string()).unwrap_or_default();
    format!("{topic}/{partition}@{}..{end}", span.from)
}

fn title(term: &TermView, from: i64, end: i64) -> String {
    let (name, version) = (safe(&term.version.name), safe(&term.version.version));
    match end - from {
        ..1 => format!("{name} {version}: no offset yet"),
        _ => format!("{name} {version}: offsets {from} to {}", end - 1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn term(number: u64, version: &str, offsets: &Value) -> TermView {
        serde_json::from_value(json!({
            "number": number, "name": "reduce", "version": version, "digest": "aa", "since": "2026-11-27T10:00:00.000Z", "by": "start",
            "before": null, "current": false, "offsets": offsets,
        }))
        .unwrap()
    }

    fn partition(topic: &str, partition: i32, position: i64, end: i64) -> Partition {
        let (position, end) = (Some(position), Some(end));
        Partition { topic: topic.to_owned(), partition, worker: 0, position, committed: position, end, lag: Some(0) }
    }

    #[test]
    fn bar_has_a_segment_for_each_span_up_to_the_end_of_the_partition() {
        let first = term(1, "1.0", &json!({"0": [{"from": 100, "to": 150, "reached": 150}]}));
        let second = term(2, "2.0", &json!({"0": [{"from": 150, "to": null, "reached": 160}]}));
        let history = [second, first];
        let of =
            |partition: &Partition| Some(SpansByPartition::new(&history).bar(partition, str::to_owned)?.into_string());
        let bar = of(&partition("visits", 0, 175, 200)).unwrap();
        assert!(bar.contains("href=\"visits/0@100..150\" aria-label=\"reduce 1.0: offsets 100 to 149\""), "{bar}");
        assert!(bar.contains("href=\"visits/0@150..\" aria-label=\"reduce 2.0: offsets 150 to 174\""), "{bar}");
        assert!(bar.contains("x=\"0.00\" y=\"0\" height=\"8\" width=\"50.00\""), "{bar}");
        assert!(bar.contains("x=\"50.00\" y=\"0\" height=\"8\" width=\"25.00\""), "{bar}");
        assert!(of(&partition("visits", 1, 0, 0)).is_none());
    }

    #[test]
    fn partitions_of_several_topics_have_their_own_spans() {
        let offsets =
            json!({"a/0": [{"from": 0, "to": 10, "reached": 10}], "b/0": [{"from": 5, "to": null, "reached": 5}]});
        let history = [term(1, "1.0", &offsets)];
        let spans = SpansByPartition::new(&history);
        let title =
            |topic, position| spans.bar(&partition(topic, 0, position, position), str::to_owned).unwrap().into_string();
        assert!(title("a", 10).contains("offsets 0 to 9"));
        assert!(title("b", 5).contains("no offset yet"));
    }
}
