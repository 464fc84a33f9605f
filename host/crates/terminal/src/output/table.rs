//! Text in columns.

use super::{Line, escape};

const GAP: &str = "  ";

/// Renders rows, of which the first has the titles, as lines with aligned columns. If the width of the terminal is known, the last
/// column is cut to it.
pub fn table(rows: &[Vec<String>], width: Option<usize>) -> Vec<Line> {
    // Escaped first, so that the widths are those on the terminal. The line escapes it again, which changes nothing.
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| escape::line(cell).into_owned()).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width));
        let text = cells.collect::<Vec<_>>().join(GAP);
        Line::from(fit(text.trim_end(), width))
    };
    rows.iter().map(line).collect()
}

/// The text, or its beginning with an ellipsis, if it is wider than the terminal.
pub fn fit(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().count() > width => {
            let kept: String = text.chars().take(width.saturating_sub(1)).collect();
            format!("{kept}…")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(rows: &[[&str; 2]], width: Option<usize>) -> Vec<String> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        table(&rows, width).iter().map(Line::plain).collect()
    }

    #[test]
    fn columns_are_aligned_and_the_last_one_is_cut() {
        let rows = [["GROUP", "MESSAGE"], ["9b3e", "no page"], ["a", ""]];
        assert_eq!(rendered(&rows, None), ["GROUP  MESSAGE", "9b3e   no page", "a"]);
        assert_eq!(rendered(&rows, Some(11)), ["GROUP  MES…", "9b3e   no …", "a"]);
    }

    #[test]
    fn control_characters_count_as_they_are_shown() {
        let rendered = rendered(&[["\u{1b}[31m", "END"], ["longer than that", "END"]], None);
        assert!(!rendered[0].contains('\u{1b}'), "{rendered:?}");
        let column = |line: &str| line.split("END").next().map(|before| before.chars().count());
        assert_eq!(column(&rendered[0]), column(&rendered[1]));
    }
}
