//! Line diff of the expected and the actual result of a case.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::cases::CaseResult;
use mapper_terminal::output::{Colour, Line};

const CONTEXT_LINES: usize = 3;

/// `-` marks expected lines, `+` marks actual lines.
pub(super) fn lines(result: &CaseResult) -> Vec<Line> {
    let mut lines = Vec::new();
    let coloured = |colour, text: String| Line::default().coloured(colour, text);
    let actual = pretty(&result.actual);
    if result.expected.is_null() {
        lines.push("no expected result (mapper-host test --bless adds it). Actual result:".into());
        lines.extend(actual.lines().map(|line| coloured(Colour::Green, format!("+ {line}"))));
    } else {
        let expected = pretty(&result.expected);
        let diff = TextDiff::from_lines(expected.as_str(), actual.as_str());
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
    lines.extend(result.details.lines().map(|detail| coloured(Colour::Faint, format!("| {detail}"))));
    lines
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
