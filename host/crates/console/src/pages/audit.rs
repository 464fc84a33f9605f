//! The audit of a pipeline: started by a button, because it reads whole topics, and then its report.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use mapper_api::audit::{AuditReport, AuditedPartition, FindingKind};
use mapper_api::settings::{SettingInForce, SettingSource};
use mapper_terminal::shell::quoted;
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::api::{Client, escaped, of_pipeline};
use crate::format::{count, safe};
use crate::frame::{Frame, Tab, facts};
use crate::session::Session;

/// The partitions and the findings of a page.
const MAX_ROWS: usize = 1000;
/// The settings of `run` that say what is audited.
const OF_AUDIT: [&str; 11] = [
    "brokers",
    "kafka",
    "input-topic",
    "input-topics",
    "output-topic",
    "extra-topic",
    "dead-letter-topic",
    "state-topic",
    "provenance",
    "ledger-topic",
    "group",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Start {
    /// `true` runs the audit.
    run: Option<String>,
    /// Only what was committed since then; empty for all.
    since: String,
}

impl Start {
    fn since(&self) -> Option<&str> {
        Some(self.since.as_str()).filter(|since| !since.is_empty())
    }
}

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(start): Query<Start>,
) -> Response {
    let tab = Some((name.as_str(), Tab::Audit));
    let frame = Frame { console: &console, session: &session, title: "Audit", tab, is_live: false, events: None };
    let client = session.client(&console);
    let settings: Vec<SettingInForce> = match client.get(of_pipeline(&name, "/settings")).await {
        Ok(settings) => settings,
        Err(error) => return frame.error(&error),
    };
    if settings.iter().all(|setting| setting.name != "ledger-topic" || setting.source == SettingSource::Default) {
        return frame.page(&without_ledger(&frame));
    }
    let command = command(&settings, start.since());
    let is_run = start.run.as_deref() == Some("true");
    let report = if is_run { Some(audit(&client, &name, start.since()).await) } else { None };
    match report {
        Some(Err(error)) => frame.error(&error),
        Some(Ok(found)) => frame.page(&html! { (result(&found)) (form(&frame, &name, &start, &command)) }),
        None => frame.page(&form(&frame, &name, &start, &command)),
    }
}

async fn audit(client: &Client<'_>, pipeline: &str, since: Option<&str>) -> Result<AuditReport, crate::api::ApiError> {
    let since = since.map(|since| format!("?since={}", escaped(since))).unwrap_or_default();
    client.get(of_pipeline(pipeline, &format!("/audit{since}"))).await
}

fn without_ledger(frame: &Frame<'_>) -> Markup {
    html! {
        p .message.doubtful { "This pipeline has no ledger, so there is nothing to compare." }
        p {
            "With " code { "--ledger-topic TOPIC" } ", or the key " code { "ledger-topic" } " of the settings file, each transaction writes a record for each input partition: "
            "the offsets, and what became of their records. An audit then proves that nothing was lost or duplicated since."
        }
        (frame.command("mapper-host run --ledger-topic TOPIC --create-topics 1"))
    }
}

fn form(frame: &Frame<'_>, pipeline: &str, start: &Start, command: &str) -> Markup {
    html! {
        section {
            h2 { @if start.run.is_some() { "Run it again" } @else { "Run an audit" } }
            p {
                "The host reads the ledger, the outputs and the dead letters from their beginning, on a thread of its own. It writes nothing. "
                "After a minute it ends the audit: then run it at a terminal."
            }
            form .card method="get" action=(frame.console.link_of(pipeline, "/audit"))
                data-note="The audit runs. Its report replaces this page, within a minute." {
                input type="hidden" name="run" value="true";
                label for="since" { "Only what was committed since; empty for all. A time, or how long ago, such as 2h" }
                input #since name="since" value=(start.since);
                button { "Run the audit" }
            }
            (frame.command(command))
        }
    }
}

fn result(report: &AuditReport) -> Markup {
    let AuditReport { partitions, topics, redrives, findings, notes } = report;
    html! {
        @if findings.is_empty() {
            p .message.good role="status" { strong { "Nothing is missing, duplicated or unexplained." } }
        } @else {
            p .message.bad role="status" { strong { (count(findings.total)) " findings" } ", listed below." }
        }
        @for note in notes { p .message { (safe(note)) } }
        section {
            h2 { "Partitions" }
            div .scroll tabindex="0" role="group" aria-label="Table" {
                table {
                    thead { tr {
                        th scope="col" { "Partition" } th scope="col" .number { "Offsets" } th scope="col" .number { "Ranges" }
                        th scope="col" .number { "Records" } th scope="col" .number { "Skipped" } th scope="col" .number { "Outputs" }
                        th scope="col" .number { "Dead letters" } th scope="col" .number { "Without a record" } th scope="col" .number { "Missed" }
                        th scope="col" .number { "Committed" } th scope="col" { "Verdict" }
                    } }
                    tbody { @for partition in partitions.iter().take(MAX_ROWS) { (row(partition, report)) } }
                }
            }
            @if partitions.len() > MAX_ROWS { p .quiet { (partitions.len() - MAX_ROWS) " further partitions are not shown. The command has them." } }
        }
        section {
            h2 { "Topics" }
            div .scroll tabindex="0" role="group" aria-label="Table" {
                table {
                    thead { tr {
                        th scope="col" { "Topic" } th scope="col" .number { "Records" } th scope="col" .number { "In the ledger" }
                        th scope="col" .number { "During the audit" } th scope="col" .number { "Removed by retention" }
                    } }
                    tbody { @for topic in topics { tr {
                        th scope="row" { (safe(&topic.topic)) }
                        td .number { (count(topic.records)) } td .number { (count(topic.counted)) }
                        td .number { (count(topic.recent)) } td .number { (count(topic.removed)) }
                    } } }
                }
            }
            @if let Some(redrives) = redrives {
                (facts(&[(
                    "Resolutions of redrives",
                    html! { (count(redrives.resolutions)) " in " (safe(&redrives.topic)) ", " (count(redrives.counted)) " in the ledger" },
                )]))
            }
        }
        (findings_table(report))
    }
}

fn findings_table(report: &AuditReport) -> Markup {
    let listed = &report.findings.listed;
    html! {
        @if !listed.is_empty() {
            section {
                h2 { "Findings" }
                div .scroll tabindex="0" role="group" aria-label="Table" {
                    table {
                        thead { tr { th scope="col" { "Where" } th scope="col" { "What" } th scope="col" { "Why" } } }
                        tbody { @for finding in listed.iter().take(MAX_ROWS) { tr .bad {
                            th scope="row" { (safe(&finding.at)) } td { (finding.kind.name()) } td { (safe(&finding.reason)) }
                        } } }
                    }
                }
                @if report.findings.total > listed.len() as u64 { p .quiet { "The first " (listed.len()) " of " (count(report.findings.total)) "." } }
            }
        }
    }
}

fn row(partition: &AuditedPartition, report: &AuditReport) -> Markup {
    let AuditedPartition { topic, partition: number, first, last, committed, .. } = partition;
    let (class, verdict) = verdict(partition, report);
    html! {
        tr .(class) {
            th scope="row" { (safe(topic)) "/" (number) }
            td .number { @match (first, last) { (Some(first), Some(last)) => { (first) "–" (last) }, _ => "none" } }
            td .number { (count(partition.ranges)) }
            td .number { (count(partition.records)) }
            td .number { (count(partition.skipped)) }
            td .number { (count(partition.outputs)) }
            td .number { (count(partition.dead_letters)) }
            td .number { (count(partition.without_record)) }
            td .number { (count(partition.missed)) }
            td .number { (committed.map_or_else(|| "nothing".to_owned(), |committed| committed.to_string())) }
            td { (verdict) }
        }
    }
}

/// The findings about offsets of a partition, in words. Findings of topics are not of one partition.
fn verdict(partition: &AuditedPartition, report: &AuditReport) -> (&'static str, String) {
    let start = format!("{}/{}@", partition.topic, partition.partition);
    let of_partition = || report.findings.listed.iter().filter(|finding| finding.at.starts_with(&start));
    let counts = FindingKind::ALL.map(|kind| {
        (kind.name(), of_partition().filter(|finding| finding.kind == kind).map(|finding| finding.count).sum::<u64>())
    });
    let words: Vec<String> = counts
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(kind, number)| format!("{} {kind}", count(number)))
        .collect();
    match (words.is_empty(), partition.ranges) {
        (false, _) => ("bad", words.join(", ")),
        (true, 0) => ("doubtful", "the ledger has nothing of it".to_owned()),
        (true, _) => ("good", "complete, each offset once".to_owned()),
    }
}

/// The command that does the same. Properties of `--kafka` may be secret.
fn command(settings: &[SettingInForce], since: Option<&str>) -> String {
    let mut command = "mapper-host audit".to_owned();
    let mut add = |name: &str, value: &str| command += &format!(" --{name} {}", quoted(value));
    for name in OF_AUDIT {
        // The group of a pipeline of a file is a default there, and not one of the command.
        let is_given = |setting: &&SettingInForce| name == "group" || setting.source != SettingSource::Default;
        for setting in settings.iter().filter(|setting| setting.name == name).filter(is_given) {
            let value = setting.value.as_deref().unwrap_or("…");
            match (name, &setting.key) {
                ("kafka", key) => add(name, &format!("{}={value}", key.as_deref().unwrap_or("…"))),
                ("extra-topic", _) => value.split(", ").for_each(|topic| add(name, topic)),
                _ => add(name, &value.replace(", ", ",")),
            }
        }
    }
    if let Some(since) = since {
        add("since", since);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, key: Option<&str>, value: Option<&str>, source: SettingSource) -> SettingInForce {
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        SettingInForce {
            group: String::new(),
            name: name.to_owned(),
            key: owned(key),
            value: owned(value),
            is_hidden: value.is_none(),
            source,
            origin: None,
        }
    }

    #[test]
    fn command_has_what_was_given_without_secrets_and_is_quoted() {
        use SettingSource::{Default, Flag};
        let settings = [
            setting("group", None, Some("orders"), Default),
            setting("output-topic", None, Some("visits_reduced"), Default),
            setting("brokers", None, Some("a:1,b:2"), Flag),
            setting("workers", None, Some("3"), Flag),
            setting("input-topics", None, Some("^visits-.*"), Flag),
            setting("extra-topic", None, Some("x, y"), Flag),
            setting("kafka", Some("sasl.password"), None, Flag),
            setting("ledger-topic", None, Some("ledger"), Flag),
        ];
        assert_eq!(
            command(&settings, Some("2h'; rm")),
            r"mapper-host audit --brokers a:1,b:2 --kafka sasl.password=… --input-topics '^visits-.*' --extra-topic x --extra-topic y --ledger-topic ledger --group orders --since '2h'\''; rm'"
        );
    }
}
