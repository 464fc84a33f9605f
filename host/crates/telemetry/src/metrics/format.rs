//! The formats of `/metrics`: OpenMetrics 1.0, and the older text format of Prometheus, which `promtool check metrics` and most
//! other tools read. It is converted from OpenMetrics.

use std::fmt::Write as _;

/// The format of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text format 0.0.4, the default.
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Converts metrics in the format of OpenMetrics to this format.
    pub fn convert(self, open_metrics: String) -> String {
        match self {
            Self::Prometheus => prometheus(&open_metrics),
            Self::OpenMetrics => open_metrics,
        }
    }
}

/// Converts OpenMetrics to the text format. There, the family of a counter has the suffix in its name, an info is a
/// gauge, and there are neither units nor an end mark.
fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // The help of a family comes before its type, which decides its name.
    let mut help = None;
    for line in open_metrics.lines() {
        let comment = line.strip_prefix("# ").map(|comment| {
            let mut parts = comment.splitn(3, ' ');
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        });
        // Writing to a string cannot fail.
        let _ = match comment {
            Some(("HELP", _, words)) => {
                // The text format does not escape quotes in help texts.
                help = Some(words.replace("\\\"", "\""));
                Ok(())
            }
            Some(("TYPE", family, kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                let named = help.take().map_or(Ok(()), |help| writeln!(text, "# HELP {family}{suffix} {help}"));
                named.and_then(|()| writeln!(text, "# TYPE {family}{suffix} {kind}"))
            }
            // The unit is a part of the name, and there is no end mark.
            Some(_) => Ok(()),
            None => writeln!(text, "{line}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_format_has_suffixes_in_families_and_no_end() {
        let open_metrics = "# HELP a Counted \\\"things\\\".\n# TYPE a counter\na_total{b=\"# c\"} 1\n\
            # HELP d_seconds Time.\n# TYPE d_seconds gauge\n# UNIT d_seconds seconds\nd_seconds 0.5\n\
            # HELP e Who.\n# TYPE e info\ne_info{f=\"g\"} 1\n# HELP h What.\n# TYPE h unknown\nh 2\n# EOF\n";
        let expected = "# HELP a_total Counted \"things\".\n# TYPE a_total counter\na_total{b=\"# c\"} 1\n\
            # HELP d_seconds Time.\n# TYPE d_seconds gauge\nd_seconds 0.5\n\
            # HELP e_info Who.\n# TYPE e_info gauge\ne_info{f=\"g\"} 1\n# HELP h What.\n# TYPE h untyped\nh 2\n";
        assert_eq!(Format::Prometheus.convert(open_metrics.to_owned()), expected);
        assert_eq!(Format::OpenMetrics.convert(open_metrics.to_owned()), open_metrics);
    }
}
