//! The answers of a running host as text. Each line is escaped by itself, so that the name of a version or a record cannot add a line.

use mapper_api::pipelines::PipelineSummary;
use mapper_api::versions::RollbackPlan;
use mapper_api::versions::TermView;
use mapper_api::versions::{Difference, Report, ShadowStatus, SwapOutcome, TryOut};
use mapper_core::topics::Recreation;
use mapper_terminal::output::{Line, table};

/// A table of pipelines, each with the reasons why it is not ready.
pub(super) fn pipelines(all: &[PipelineSummary]) -> Vec<Line> {
    let heads = ["PIPELINE", "STATE", "RECORDS", "DEAD LETTERS", "LAG", "STARTS", "PLUGIN"].map(str::to_owned).to_vec();
    let row = |pipeline: &PipelineSummary| {
        let PipelineSummary { name, state, records_in, dead_letters, lag, generation, plugin, .. } = pipeline;
        let numbers = [records_in, dead_letters, lag, generation].map(ToString::to_string);
        let plugin = plugin.clone().unwrap_or_else(|| "-".to_owned());
        [vec![name.clone(), state.clone()], numbers.to_vec(), vec![plugin]].concat()
    };
    let rows: Vec<Vec<String>> = [heads].into_iter().chain(all.iter().map(row)).collect();
    let reasons = |pipeline: &PipelineSummary| pipeline.not_ready.iter().map(|why| format!("  {why}").into()).collect();
    let of_rows = table(&rows, None).into_iter().zip([Vec::new()].into_iter().chain(all.iter().map(reasons)));
    of_rows.flat_map(|(row, reasons): (Line, Vec<Line>)| [row].into_iter().chain(reasons)).collect()
}

/// The outcome of a swap or a rollback.
pub(super) fn report(report: &Report) -> Vec<Line> {
    let mut lines = report.try_out.as_ref().map(try_out).unwrap_or_default();
    let to = report.to.as_ref().map(ToString::to_string).unwrap_or_default();
    let (from, ms) = (&report.from, report.took_ms);
    let pause = report.pause_us as f64 / 1000.0;
    match report.outcome {
        SwapOutcome::Swapped => {
            let forced = if report.forced { ", without a try-out" } else { "" };
            lines.push(format!("swapped in {ms} ms: {from} → {to}{forced}").into());
            lines.extend(offsets(report));
            lines.push(format!("longest pause of a worker: {pause:.2} ms").into());
        }
        SwapOutcome::Unchanged => lines.push(format!("{from} is active already").into()),
        SwapOutcome::Tried => {
            lines.push(format!("the try-out of {to} succeeded; {from} stays active (--dry-run)").into());
        }
        SwapOutcome::Switching => {
            let reason = report.reason.as_deref().unwrap_or_default();
            lines.push(format!("not swapped everywhere yet: {reason}").into());
        }
        // The reason is the error that the command ends with.
        SwapOutcome::Refused => lines.push(format!("{from} stays active").into()),
    }
    lines
}

/// The plan of a rollback, in one line.
pub(super) fn rollback_plan(plan: &RollbackPlan) -> String {
    let RollbackPlan { from, to, last_active, probation_failure } = plan;
    if from.digest == to.digest {
        return format!("{to} is active already");
    }
    let since = last_active.as_ref().map(|since| format!(", last active since {since}")).unwrap_or_default();
    let failure = probation_failure.as_ref().map(|why| format!("; it failed its probation: {why}")).unwrap_or_default();
    format!("rollback: {from} → {to}{since}{failure}")
}

fn offsets(report: &Report) -> impl Iterator<Item = Line> {
    report.offsets.iter().map(|(partition, offset)| match offset {
        Some(offset) => format!("  {partition}: from offset {offset}").into(),
        None => format!("  {partition}: from its first record").into(),
    })
}

fn try_out(found: &TryOut) -> Vec<Line> {
    let TryOut { records, cases, same, different, broken, fixed, differences } = found;
    let mut text = format!("tried out on {records} records and {cases} cases: {same} the same, {different} different");
    if *different > 0 {
        text.push_str(&format!(" ({broken} broken, {fixed} fixed)"));
    }
    [text.into()].into_iter().chain(differences.iter().flat_map(difference)).collect()
}

/// A record for which the versions differ.
pub(super) fn difference(shown: &Difference) -> [Line; 3] {
    let Difference { record, input, old, new } = shown;
    [format!("  {record}: {input}").into(), format!("    - {old}").into(), format!("    + {new}").into()]
}

/// The counts of a shadow, in one line.
pub(super) fn shadow_counts(status: &ShadowStatus) -> String {
    let ShadowStatus { seen, unseen, same, different, broken, fixed, .. } = status;
    let share = if seen + unseen == 0 { 100.0 } else { *seen as f64 * 100.0 / (seen + unseen) as f64 };
    let failing: Vec<String> = status.failing.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let failing = if failing.is_empty() { "0".to_owned() } else { failing.join(", ") };
    format!(
        "{seen} records seen ({share:.0} % of all): {same} the same, {different} different ({broken} broken, \
         {fixed} fixed); failing: {failing}"
    )
}

/// The results of a shadow.
pub(super) fn shadow(status: &ShadowStatus) -> Vec<Line> {
    let mut lines = vec![format!("{} beside {} since {}", status.version, status.against, status.since).into()];
    lines.extend(status.differences.iter().flat_map(difference));
    lines.push(shadow_counts(status).into());
    lines.extend(status.ended.iter().map(|why| format!("ended: {why}").into()));
    lines
}

/// The versions, the latest first.
pub(super) fn history(terms: &[TermView]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for view in terms {
        let title = format!(
            "{} {}  since {} by {}{}{}",
            if view.current { "*" } else { " " },
            view.version,
            view.since,
            view.by.name(),
            if view.forced { ", forced" } else { "" },
            if view.before.is_none() { "; nothing to roll back to" } else { "" },
        );
        lines.push(title.into());
        lines.extend(view.probation_failure.iter().map(|reason| format!("    failed its probation: {reason}").into()));
        let tally = &view.tally;
        let letters: u64 = tally.dead_letters.values().sum();
        let kinds: Vec<String> = tally.dead_letters.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let counts = format!(
            "    {} in, {} out, {letters} dead letters{kinds}, {} skipped{}",
            tally.records_in,
            tally.records_out,
            tally.skipped,
            tally.mapping_us_per_record().map(|us| format!(", {us:.1} µs per record")).unwrap_or_default()
        );
        lines.push(counts.into());
        for recreation in &view.recreations {
            let Recreation { topic, noticed, .. } = recreation;
            lines.push(format!("    topic '{topic}' was deleted and created again, noticed {noticed}").into());
        }
        for (partition, spans) in &view.offsets {
            let spans: Vec<String> = spans
                .iter()
                .map(|span| match span.to {
                    Some(to) => format!("{}–{to}", span.from),
                    None => format!("{}– (committed up to {})", span.from, span.reached),
                })
                .collect();
            lines.push(format!("    {partition}: {}", spans.join(", ")).into());
        }
    }
    lines
}
