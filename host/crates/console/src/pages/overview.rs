//! The overview: each pipeline in a line, those that need attention first.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use mapper_api::pipelines::{ELSEWHERE, PipelineSummary, UNREACHABLE};
use maud::{Markup, html};

use super::PageNumber;
use crate::Console;
use crate::chart::sparkline;
use crate::format::{count, excerpt, milliseconds, rate, safe, share};
use crate::frame::{Frame, pager};
use crate::session::Session;

const PER_PAGE: usize = 50;
/// The minutes of a sparkline.
const MINUTES: usize = 60;
/// A larger share of failing records needs attention.
const HIGH_SHARE: f64 = 0.05;

pub(super) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Query(number): Query<PageNumber>,
) -> Response {
    let frame =
        Frame { console: &console, session: &session, title: "Pipelines", tab: None, is_live: true, events: None };
    let pipelines: Result<Vec<PipelineSummary>, _> =
        session.client(&console).get(mapper_api::PIPELINES_PATH.to_owned()).await;
    match pipelines {
        Ok(pipelines) => frame.page(&content(&console, pipelines, number)),
        Err(error) => frame.error(&error),
    }
}

fn content(console: &Console, mut pipelines: Vec<PipelineSummary>, number: PageNumber) -> Markup {
    pipelines.sort_by(|a, b| condition(a).cmp(&condition(b)).then_with(|| a.name.cmp(&b.name)));
    let attention = pipelines.iter().filter(|pipeline| condition(pipeline) != Condition::Good).count();
    let (page, shown) = number.of(&pipelines, PER_PAGE);
    html! {
        p .summary {
            @if attention == 0 { (pipelines.len()) " pipelines, none needs attention." }
            @else { strong { "Needs attention: " (attention) " of " (pipelines.len()) " pipelines." } }
        }
        div .scroll tabindex="0" role="group" aria-label="Table" {
            table .pipelines {
                thead { tr {
                    th scope="col" { "Pipeline" } th scope="col" { "State" }
                    th scope="col" .number { "In /s" } th scope="col" .number { "Out /s" } th scope="col" .number { "Failing" }
                    th scope="col" .number { "Lag" } th scope="col" .number { "Mapping p99" }
                    th scope="col" { "Version" } th scope="col" { "Last hour, in /s" }
                } }
                tbody { @for pipeline in shown { (row(console, pipeline)) } }
            }
        }
        (pager(&console.link(""), page, pipelines.len(), PER_PAGE))
        p { a href=(console.link("/settings")) { "Settings of the host" } }
    }
}

fn row(console: &Console, pipeline: &PipelineSummary) -> Markup {
    let condition = condition(pipeline);
    let rates = &pipeline.rates;
    let has_figures = ![ELSEWHERE, UNREACHABLE].contains(&pipeline.state.as_str());
    let figure = |figure: Option<String>| figure.filter(|_| has_figures).unwrap_or_else(|| "–".to_owned());
    // Without a host, a pipeline has only its dead letters.
    let page = if pipeline.state == ELSEWHERE { "/dead-letters" } else { "" };
    let host = console.api.host_of(&pipeline.name);
    html! {
        tr .(condition.class()) {
            th scope="row" {
                a href=(console.link_of(&pipeline.name, page)) { (safe(&pipeline.name)) }
                @if let Some(host) = host { " " span .quiet { "on " (safe(&host)) } }
            }
            td { (words(pipeline)) }
            td .number { (figure(Some(rate(rates.records_in_per_second)))) }
            td .number { (figure(Some(rate(rates.records_out_per_second)))) }
            td .number { (figure(failing_share(pipeline).map(share))) }
            td .number { (figure(Some(count(pipeline.lag)))) }
            td .number { (figure(pipeline.mapping_p99_ms.map(milliseconds))) }
            td { (pipeline.plugin.as_deref().map_or_else(|| if has_figures { "loading" } else { "–" }.into(), safe)) }
            td { (sparkline(&pipeline.last_hour, MINUTES, "Input records per second in the last hour")) }
        }
    }
}

/// How much a pipeline needs attention, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    Bad,
    Doubtful,
    Good,
}

impl Condition {
    fn class(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Doubtful => "doubtful",
            Self::Good => "good",
        }
    }
}

fn condition(pipeline: &PipelineSummary) -> Condition {
    if pipeline.open_breakers > 0 || matches!(pipeline.state.as_str(), "halted" | "restarting" | UNREACHABLE) {
        return Condition::Bad;
    }
    let is_failing = failing_share(pipeline).is_some_and(|share| share > HIGH_SHARE);
    let is_ready = pipeline.ready || ["ended", ELSEWHERE].contains(&pipeline.state.as_str());
    if is_ready && !is_failing { Condition::Good } else { Condition::Doubtful }
}

/// The share of the records of the last seconds that became dead letters.
fn failing_share(pipeline: &PipelineSummary) -> Option<f64> {
    let rates = &pipeline.rates;
    (rates.records_in_per_second > 0.0)
        .then(|| (rates.dead_letters_per_second / rates.records_in_per_second).clamp(0.0, 1.0))
}

/// The state in words.
fn words(pipeline: &PipelineSummary) -> String {
    let because = || pipeline.not_ready.first().map(|reason| excerpt(reason, 160)).unwrap_or_default();
    match pipeline.state.as_str() {
        "running" if pipeline.open_breakers > 0 => format!("maps nothing: {}", because()),
        "running" if !pipeline.ready => format!("not ready: {}", because()),
        "running" => match failing_share(pipeline) {
            Some(share) if share > HIGH_SHARE => "running, many records fail".to_owned(),
            Some(_) => "running".to_owned(),
            None if pipeline.lag == 0 => "running, no new records".to_owned(),
            None => "running, waits for records".to_owned(),
        },
        "halted" => format!("halted: {}", because()),
        "restarting" => format!("restarts after it halted: {}", because()),
        UNREACHABLE => because(),
        ELSEWHERE => "runs elsewhere: for its figures and versions, start the console with --host URL".to_owned(),
        "ended" => "ended: all records are processed".to_owned(),
        state => safe(state).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::summary;

    #[test]
    fn pipelines_that_need_attention_come_first() {
        let mut good = summary("a");
        good.rates.records_in_per_second = 100.0;
        let mut failing = summary("b");
        (failing.rates.records_in_per_second, failing.rates.dead_letters_per_second) = (100.0, 6.0);
        let mut halted = summary("z");
        (halted.state, halted.ready) = ("halted".to_owned(), false);
        let mut open = summary("y");
        (open.open_breakers, open.ready) = (1, false);
        let mut ended = summary("c");
        (ended.state, ended.ready) = ("ended".to_owned(), false);
        let conditions = [&good, &failing, &halted, &open, &ended].map(condition);
        use Condition::{Bad, Doubtful, Good};
        assert_eq!(conditions, [Good, Doubtful, Bad, Bad, Good]);
    }

    #[test]
    fn state_is_in_words_with_the_reason() {
        let mut pipeline = summary("a");
        pipeline.rates.records_in_per_second = 5.0;
        assert_eq!(words(&pipeline), "running");
        pipeline.rates.dead_letters_per_second = 4.0;
        assert_eq!(words(&pipeline), "running, many records fail");
        (pipeline.ready, pipeline.not_ready) = (false, vec!["kafka: no answer\u{202e}".to_owned()]);
        assert_eq!(words(&pipeline), "not ready: kafka: no answer\\u{202e}");
        pipeline.state = "halted".to_owned();
        assert_eq!(words(&pipeline), "halted: kafka: no answer\\u{202e}");
        pipeline.state = UNREACHABLE.to_owned();
        assert_eq!((words(&pipeline), condition(&pipeline)), ("kafka: no answer\\u{202e}".to_owned(), Condition::Bad));
        let elsewhere = PipelineSummary { state: ELSEWHERE.to_owned(), ready: false, ..summary("a") };
        assert!(words(&elsewhere).contains("--host URL"), "{}", words(&elsewhere));
        assert_eq!(condition(&elsewhere), Condition::Good);
    }
}
