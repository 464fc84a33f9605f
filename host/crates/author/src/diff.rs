//! What must come and what came, line by line, for a person.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::cases::Judged;
use mapper_terminal::output::{Colour, Line};

/// Lines around a difference.
const CONTEXT_LINES: usize = 3;

/// Why a case doesn't hold: a line that is only expected begins with `-`, one that only came with `+`.
pub(super) fn lines(judged: &Judged) -> Vec<Line> {
    let mut lines = Vec::new();
    let coloured = |colour, text: String| Line::default().coloured(colour, text);
    let seen = pretty(&judged.seen);
    if judged.expected.is_null() {
        lines.push("it doesn't say what must come (mapper-host test --bless writes it down); what came:".into());
        lines.extend(seen.lines().map(|came| coloured(Colour::Green, format!("+ {came}"))));
    } else {
        let expected = pretty(&judged.expected);
        let diff = TextDiff::from_lines(expected.as_str(), seen.as_str());
        for (index, group) in diff.grouped_ops(CONTEXT_LINES).iter().enumerate() {
            if index > 0 {
                lines.push("  …".into());
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let content = change.value().trim_end_matches('\n');
                lines.push(match change.tag() {
                    ChangeTag::Delete => coloured(Colour::Red, format!("- {content}")),
                    ChangeTag::Insert => coloured(Colour::Green, format!("+ {content}")),
                    ChangeTag::Equal => format!("  {content}").into(),
                });
            }
        }
    }
    lines.extend(judged.details.lines().map(|detail| coloured(Colour::Faint, format!("| {detail}"))));
    lines
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
