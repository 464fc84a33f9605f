//! What a running host answered, for people.

use std::fmt::Write as _;

use crate::swap::control::TermView;
use crate::swap::report::{Difference, Ended, Report, ShadowStatus, TryOut};
use crate::swap::rollback::RollbackPlan;

/// How a swap or a rollback ended.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    if let Some(found) = &report.try_out {
        text.push_str(&try_out(found));
    }
    let to = report.to.as_ref().map(ToString::to_string).unwrap_or_default();
    let (from, ms) = (&report.from, report.took_ms);
    let pause = report.pause_us as f64 / 1000.0;
    // Writing to a string can't fail.
    let _ = match report.outcome {
        Ended::Swapped => writeln!(
            text,
            "swapped in {ms} ms: {from} → {to}{}\n{}longest pause of a worker: {pause:.2} ms",
            if report.forced { ", without a try-out" } else { "" },
            offsets(report),
        ),
        Ended::Unchanged => writeln!(text, "{from} speaks already; nothing to swap"),
        Ended::Tried => writeln!(text, "{to} could be swapped in for {from}; it was not, as asked (--dry-run)"),
        Ended::Switching => {
            writeln!(text, "not swapped everywhere yet: {}", report.reason.as_deref().unwrap_or_default())
        }
        // The reason is the error that the command ends with.
        Ended::Refused => writeln!(text, "{from} goes on"),
    };
    text
}

/// What a rollback would do, in a line.
pub(super) fn rollback_plan(plan: &RollbackPlan) -> String {
    let RollbackPlan { from, to, last_active, probation_failure } = plan;
    if from.digest == to.digest {
        return format!("{to} is active already");
    }
    let since = last_active.as_ref().map(|since| format!(", active since {since} the last time")).unwrap_or_default();
    let failure = probation_failure.as_ref().map(|why| format!("; it failed its probation: {why}")).unwrap_or_default();
    format!("rollback: {from} → {to}{since}{failure}")
}

fn offsets(report: &Report) -> String {
    let mut text = String::new();
    for (partition, offset) in &report.offsets {
        let _ = match offset {
            Some(offset) => writeln!(text, "  partition {partition}: from offset {offset}"),
            None => writeln!(text, "  partition {partition}: from its first record"),
        };
    }
    text
}

fn try_out(found: &TryOut) -> String {
    let TryOut { records, cases, same, different, regressions, mended, differences } = found;
    let mut text = format!("tried out on {records} records and {cases} cases: {same} the same, {different} different");
    if *different > 0 {
        let _ = write!(text, " ({regressions} fail that used to pass, {mended} pass that used to fail)");
    }
    text.push('\n');
    for shown in differences {
        text.push_str(&difference(shown));
        text.push('\n');
    }
    text
}

/// A record on which versions differ.
pub(super) fn difference(shown: &Difference) -> String {
    let Difference { record, input, old, new } = shown;
    format!("  {record}: {input}\n    - {old}\n    + {new}")
}

/// The counts of a shadow, in a line.
pub(super) fn shadow_counts(status: &ShadowStatus) -> String {
    let ShadowStatus { seen, unseen, same, different, regressions, mended, .. } = status;
    let share = if seen + unseen == 0 { 100.0 } else { *seen as f64 * 100.0 / (seen + unseen) as f64 };
    let failing: Vec<String> = status.failing.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let failing = if failing.is_empty() { "0".to_owned() } else { failing.join(", ") };
    format!(
        "{seen} records seen ({share:.0} % of all): {same} the same, {different} different ({regressions} fail that pass now, \
         {mended} pass that fail now); failing: {failing}"
    )
}

/// All of what a shadow has seen.
pub(super) fn shadow(status: &ShadowStatus) -> String {
    let mut text = format!("{} beside {} since {}\n", status.version, status.against, status.since);
    for shown in &status.differences {
        text.push_str(&difference(shown));
        text.push('\n');
    }
    let _ = writeln!(text, "{}", shadow_counts(status));
    if let Some(why) = &status.ended {
        let _ = writeln!(text, "ended: {why}");
    }
    text
}

/// The versions, the latest first.
pub(super) fn history(terms: &[TermView]) -> String {
    let mut text = String::new();
    for view in terms {
        let term = &view.term;
        let by = serde_json::to_string(&term.by).unwrap_or_default();
        let _ = writeln!(
            text,
            "{} {}  since {} by {}{}{}",
            if view.current { "*" } else { " " },
            term.version,
            term.since,
            by.trim_matches('"'),
            if term.forced { ", forced" } else { "" },
            if term.before.is_none() { "; nothing to roll back to" } else { "" },
        );
        if let Some(reason) = &term.probation_failure {
            let _ = writeln!(text, "    failed its probation: {reason}");
        }
        let tally = &term.tally;
        let letters: u64 = tally.dead_letters.values().sum();
        let kinds: Vec<String> = tally.dead_letters.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let _ = writeln!(
            text,
            "    {} in, {} out, {letters} dead letters{kinds}, {} skipped",
            tally.records_in, tally.records_out, tally.skipped
        );
        for (partition, spans) in &view.offsets {
            let spans: Vec<String> = spans
                .iter()
                .map(|span| match span.to {
                    Some(to) => format!("{}–{to}", span.from),
                    None => format!("{}– (committed up to {})", span.from, span.reached),
                })
                .collect();
            let _ = writeln!(text, "    partition {partition}: {}", spans.join(", "));
        }
    }
    text
}
