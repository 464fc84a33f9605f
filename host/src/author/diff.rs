//! What must come and what came, line by line, for a person.

use std::fmt::Write as _;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::cases::Judged;
use super::paint::Paint;

/// Lines around a difference.
const CONTEXT_LINES: usize = 3;

/// Why a case doesn't hold: a line that is only expected begins with `-`, one that only came with `+`.
pub(super) fn text(judged: &Judged, paint: Paint) -> String {
    let mut text = String::new();
    let mut line = |line: &str| {
        let _ = writeln!(text, "{line}");
    };
    let seen = pretty(&judged.seen);
    if judged.expected.is_null() {
        line("it doesn't say what must come (host test --bless writes it down); what came:");
        seen.lines().for_each(|came| line(&paint.green(&format!("+ {came}"))));
    } else {
        let expected = pretty(&judged.expected);
        let diff = TextDiff::from_lines(expected.as_str(), seen.as_str());
        for (index, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
            if index > 0 {
                line("  …");
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let content = change.value().trim_end_matches('\n');
                match change.tag() {
                    ChangeTag::Delete => line(&paint.red(&format!("- {content}"))),
                    ChangeTag::Insert => line(&paint.green(&format!("+ {content}"))),
                    ChangeTag::Equal => line(&format!("  {content}")),
                }
            }
        }
    }
    judged.details.lines().for_each(|detail| line(&paint.faint(&format!("| {detail}"))));
    text
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
