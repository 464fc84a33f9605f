//! Charts as SVG, drawn by the server.

use std::fmt::Write as _;

use chrono::DateTime;
use maud::{Markup, html};

const SPARK_WIDTH: f64 = 120.0;
const SPARK_HEIGHT: f64 = 24.0;
const PLOT_WIDTH: f64 = 600.0;
const PLOT_HEIGHT: f64 = 120.0;

/// A small line of rates, the latest at the right.
pub(crate) fn sparkline(values: &[f64], max_points: usize, label: &str) -> Markup {
    let most = values.iter().copied().fold(0.0, f64::max);
    // It grows from the right, so that all sparklines of a page have the same scale of time.
    let first = max_points.saturating_sub(values.len());
    let scale = Scale { width: SPARK_WIDTH, height: SPARK_HEIGHT, points: max_points, most };
    let points = values.iter().enumerate().map(|(index, value)| (first + index, Some(*value)));
    html! {
        svg .spark viewBox=(format!("0 0 {SPARK_WIDTH} {SPARK_HEIGHT}")) role="img" aria-label=(label) preserveAspectRatio="none" {
            path d=(path(points, scale)) {}
        }
    }
}

/// A line of a plot: its name, and a value or nothing for each point.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    /// The class of the stylesheet that colours it.
    pub(crate) class: &'a str,
    pub(crate) values: Vec<Option<f64>>,
}

/// A plot over time with its largest and latest values in words.
pub(crate) fn plot(title: &str, at_ms: &[i64], lines: &[Line<'_>], show: fn(f64) -> String) -> Markup {
    let present = || lines.iter().flat_map(|line| line.values.iter().copied().flatten());
    let most = present().fold(0.0, f64::max);
    let scale = Scale { width: PLOT_WIDTH, height: PLOT_HEIGHT, points: at_ms.len(), most };
    let hour = |at: Option<&i64>| {
        at.and_then(|at| DateTime::from_timestamp_millis(*at))
            .map(|at| at.format("%H:%M UTC").to_string())
            .unwrap_or_default()
    };
    html! {
        figure .plot {
            figcaption {
                strong { (title) }
                @for line in lines {
                    span .key.(line.class) {
                        (line.name) " "
                        (line.values.iter().rev().find_map(|value| *value).map_or("–".to_owned(), show))
                    }
                }
                span .quiet { "at most " (show(most)) }
            }
            @if present().next().is_none() {
                p .quiet { "No samples yet: one is taken every ten seconds." }
            } @else {
                svg viewBox=(format!("0 0 {PLOT_WIDTH} {PLOT_HEIGHT}")) role="img" aria-label=(format!("{title}, at most {}", show(most)))
                    preserveAspectRatio="none" {
                    line .grid x1="0" x2=(PLOT_WIDTH) y1=(PLOT_HEIGHT / 2.0) y2=(PLOT_HEIGHT / 2.0) {}
                    @for line in lines {
                        path .(line.class) d=(path(line.values.iter().copied().enumerate(), scale)) {}
                    }
                }
                div .axis.quiet { span { (hour(at_ms.first())) } span { (hour(at_ms.last())) } }
            }
        }
    }
}

/// How values become coordinates.
#[derive(Clone, Copy)]
struct Scale {
    width: f64,
    height: f64,
    points: usize,
    most: f64,
}

impl Scale {
    fn x(self, index: usize) -> f64 {
        index as f64 * self.width / (self.points.max(2) - 1) as f64
    }

    fn y(self, value: f64) -> f64 {
        // A pixel is left for the width of the line.
        let share = if self.most > 0.0 { value / self.most } else { 0.0 };
        self.height - 1.0 - share * (self.height - 2.0)
    }
}

/// The data of a path. A missing value interrupts it.
fn path(values: impl Iterator<Item = (usize, Option<f64>)>, scale: Scale) -> String {
    let mut path = String::new();
    let mut is_open = false;
    for (index, value) in values {
        if let Some(value) = value {
            let command = if is_open { 'L' } else { 'M' };
            // Writing to a string can't fail.
            let _ = write!(path, "{command}{:.1} {:.1}", scale.x(index), scale.y(value));
        }
        is_open = value.is_some();
    }
    path
}

/// A part of a bar: its share of the whole, and what it stands for.
pub(crate) struct Segment {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// The number of the colour.
    pub(crate) colour: usize,
    pub(crate) title: String,
    /// What it links to.
    pub(crate) link: String,
}

/// The number of colours of segments.
pub(crate) const COLOURS: usize = 6;

/// A bar of segments that are links, from 0 to 1.
pub(crate) fn bar(segments: &[Segment], label: &str) -> Markup {
    html! {
        svg .bar viewBox="0 0 100 8" role="group" aria-label=(label) preserveAspectRatio="none" {
            @for Segment { from, to, colour, title, link } in segments {
                a href=(link) aria-label=(title) {
                    rect .(format!("c{}", colour % COLOURS)) x=(format!("{:.2}", from * 100.0)) y="0" height="8"
                        width=(format!("{:.2}", (to - from).max(0.004) * 100.0)) { title { (title) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_interrupted_where_a_value_is_missing() {
        let scale = Scale { width: 100.0, height: 12.0, points: 5, most: 10.0 };
        let values = [Some(0.0), Some(10.0), None, Some(5.0), Some(5.0)];
        assert_eq!(path(values.into_iter().enumerate(), scale), "M0.0 11.0L25.0 1.0M75.0 6.0L100.0 6.0");
        // All zeros are a line at the bottom.
        let flat = Scale { most: 0.0, ..scale };
        assert_eq!(path([Some(0.0), Some(0.0)].into_iter().enumerate(), flat), "M0.0 11.0L25.0 11.0");
    }

    #[test]
    fn sparkline_ends_at_the_right_whatever_its_length() {
        let line = sparkline(&[1.0, 2.0], 60, "rate").into_string();
        assert!(line.contains("L120.0 1.0\""), "{line}");
        assert!(line.contains("aria-label=\"rate\""), "{line}");
    }

    #[test]
    fn plot_without_a_value_says_so() {
        let lines = [Line { name: "p99", class: "a", values: vec![None, None] }];
        let plot = plot("Mapping", &[0, 10_000], &lines, |value| format!("{value} ms")).into_string();
        assert!(plot.contains("No samples yet") && !plot.contains("<svg"), "{plot}");
    }
}
