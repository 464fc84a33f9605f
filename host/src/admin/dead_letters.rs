//! The dead letters of a pipeline: groups, letters and test cases, and decisions about them.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use mapper_api::dead_letters::{DecisionRequest, DiscardRequest, DiscardedLetters};
use mapper_api::versions::ErrorBody;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_dead_letters::Selection;
use mapper_terminal::output::escape;
use mapper_versions::swapper::Refusal;
use serde::de::DeserializeOwned;

use super::json::Json;
use super::parameters::{FINGERPRINT, Parameters, PathParts, bad};
use super::payloads::WholeRecords;
use super::pipelines::OfPipeline;
use super::versions::{Failed, failed};
use crate::config::letter_filter::PARAMETERS;
use crate::config::{GroupMark, LetterFilter, StateFilter};
use crate::dlq::lookup::Lookup;
use crate::dlq::states::Access;
use crate::dlq::{LetterError, PipelineLetters, ScanError, Scans, cases, discard, groups, letters, mark, page, who};
use crate::pipelines::{Entry, PipelineRegistry};

/// The number of groups or letters in an answer, unless the client gives another.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;
/// The most bytes of test cases in an answer, apart from the last one.
const MAX_CASE_BYTES: usize = 16 << 20;
/// The largest body with JSON.
const MAX_JSON_BYTES: usize = 64 << 10;
/// How many selected letters have no test case, because parts of their records were cut.
pub(super) const LEFT_OUT: HeaderName = HeaderName::from_static("mapper-host-left-out");

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    let group = format!("/dead-letters/groups/{{{FINGERPRINT}}}");
    Router::new()
        .route("/dead-letters", get(list))
        .route("/dead-letters/groups", get(list_groups))
        .route(&group, get(show_group))
        .route(&format!("{group}/acknowledge"), post(acknowledge))
        .route(&format!("{group}/resolve"), post(resolve))
        .route(&format!("{group}/mute"), post(mute))
        .route(&format!("{group}/reopen"), post(reopen))
        .route("/dead-letters/letter", get(show_letter))
        .route("/dead-letters/cases", get(list_cases))
        .route("/dead-letters/discard", post(discard_letters))
}

impl From<ScanError> for Failed {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Busy => failed(
                StatusCode::SERVICE_UNAVAILABLE,
                "other requests are reading dead letters, and reading takes the time of a scan of the topic. Ask again later",
            ),
            ScanError::Panicked => failed(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the thread of the request panicked: this is a bug of the host; see the error in the log, and report it",
            ),
            ScanError::Failed(halt) => halt.into(),
        }
    }
}

impl From<Halt> for Failed {
    fn from(halt: Halt) -> Self {
        let status = match halt.downcast_ref() {
            Some(LetterError::Plugin(Refusal { step, reason })) => {
                let body = ErrorBody { step: Some(*step), reason: reason.clone() };
                return Self(StatusCode::UNPROCESSABLE_ENTITY, body);
            }
            Some(LetterError::NothingSelected(_) | LetterError::MissingTopic(_)) => StatusCode::NOT_FOUND,
            Some(LetterError::Invalid(_)) => StatusCode::BAD_REQUEST,
            Some(LetterError::Claimed(_)) => StatusCode::CONFLICT,
            Some(LetterError::Cancelled) => StatusCode::SERVICE_UNAVAILABLE,
            None => match halt.cause {
                Cause::Configuration | Cause::Plugin => StatusCode::UNPROCESSABLE_ENTITY,
                Cause::Kafka => StatusCode::BAD_GATEWAY,
                Cause::Internal | Cause::Failing | Cause::Audit => StatusCode::INTERNAL_SERVER_ERROR,
            },
        };
        let way_out = if status == StatusCode::CONFLICT { " (over HTTP: take-over=true)" } else { "" };
        failed(status, format!("{}{way_out}", halt.reason()))
    }
}

pub(super) fn letters_of(entry: &Entry) -> Result<Arc<PipelineLetters>, Failed> {
    let letters = entry.letters().cloned();
    letters.ok_or_else(|| failed(StatusCode::SERVICE_UNAVAILABLE, "the pipeline is still starting"))
}

/// Runs an operation that only reads on a thread of its own.
async fn read<T: Send + 'static>(
    scans: &Scans,
    letters: Arc<PipelineLetters>,
    work: impl FnOnce(&Access) -> Result<T, Halt> + Send + 'static,
) -> Result<T, Failed> {
    tracing::debug!(topic = letters.topics().dead_letters, "a request reads all dead letters");
    Ok(scans.run(move |cancel: &Shutdown| work(&letters.connect(cancel)?)).await?)
}

/// Runs an operation that records something. It is not ended if the client goes away, so that it is recorded wholly or not at all.
async fn write<T: Send + 'static>(
    scans: &Scans,
    letters: Arc<PipelineLetters>,
    work: impl FnOnce(&Access) -> Result<T, Halt> + Send + 'static,
) -> Result<T, Failed> {
    Ok(scans.run(move |_| work(&letters.connect_to_write(&Shutdown::default())?)).await?)
}

async fn list_groups(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    mut parameters: Parameters,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    let filter = parameters.filter().map_err(bad)?;
    let limit = parameters.number("limit", 1..=MAX_LIMIT).map_err(bad)?.unwrap_or(DEFAULT_LIMIT) as usize;
    parameters.end().map_err(bad)?;
    let known = filter.clone();
    let (mut found, decided) = match registry.lookups.run(&letters, move |lookup| Ok(lookup.groups(&known))).await? {
        Some(found) => found,
        None => read(&registry.scans, letters, move |access| groups::find(access, &filter)).await?,
    };
    let beyond = found.groups.len().saturating_sub(limit);
    found.groups.truncate(limit);
    found.hidden_groups = Some((decided + beyond) as u64);
    Ok(Json(found).into_response())
}

async fn list(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    mut parameters: Parameters,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    let filter = parameters.filter().map_err(bad)?;
    let limit = parameters.number("limit", 1..=MAX_LIMIT).map_err(bad)?.unwrap_or(DEFAULT_LIMIT) as usize;
    let after = parameters.position("after").map_err(bad)?;
    parameters.end().map_err(bad)?;
    let (known, known_after) = (filter.clone(), after.clone());
    let look_up = move |lookup: &mut Lookup<'_>| lookup.page(&known, known_after.as_ref(), limit);
    let found = match registry.lookups.run(&letters, look_up).await? {
        Some(found) => found,
        None => {
            read(&registry.scans, letters, move |access| page::read(access, &filter, after.as_ref(), limit)).await?
        }
    };
    Ok(Json(found).into_response())
}

/// The group that the path names, whatever was decided about it.
fn group_in(parts: &PathParts, state: StateFilter) -> Result<LetterFilter, Failed> {
    let group = Some(PARAMETERS.fingerprint(parts.get(FINGERPRINT)).map_err(bad)?);
    Ok(LetterFilter { selection: Selection { group, ..Selection::default() }, state, ..LetterFilter::default() })
}

async fn show_group(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    parts: PathParts,
    mut parameters: Parameters,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    let filter = parameters.filter().map_err(bad)?;
    parameters.end().map_err(bad)?;
    let group = group_in(&parts, filter.state)?.selection.group;
    let filter = LetterFilter { selection: Selection { group, ..filter.selection }, ..filter };
    let known = filter.clone();
    let found = match registry.lookups.run(&letters, move |lookup| lookup.group(&known)).await? {
        Some(found) => found,
        None => read(&registry.scans, letters, move |access| letters::find_group(access, &filter)).await?,
    };
    Ok(Json(found).into_response())
}

async fn show_letter(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    mut parameters: Parameters,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    let position = parameters.position("position").map_err(bad)?;
    parameters.end().map_err(bad)?;
    let Some(position) = position else {
        return Err(bad(
            "parameter position: it is missing. Give TOPIC/PARTITION@OFFSET, of a letter or of the record that failed"
                .into(),
        ));
    };
    let selection = Selection { position: Some(position.clone()), ..Selection::default() };
    let filter = LetterFilter { selection, state: StateFilter::All, ..LetterFilter::default() };
    let found = match registry.lookups.run(&letters, move |lookup| lookup.letters_at(&position)).await? {
        Some(found) => found,
        None => read(&registry.scans, letters, move |access| letters::find_at(access, &filter)).await?,
    };
    Ok(Json(found).into_response())
}

async fn list_cases(
    _: WholeRecords,
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    mut parameters: Parameters,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    let filter = parameters.filter().map_err(bad)?;
    let limit = parameters.number("limit", 1..=MAX_LIMIT).map_err(bad)?;
    parameters.end().map_err(bad)?;
    let found = read(&registry.scans, letters, move |access| {
        let mut lines = String::new();
        let left_out = cases::find(access, &filter, limit, |case| {
            let case = serde_json::to_string(case).map_err(Halt::internal)?;
            lines.push_str(&escape::json(&case));
            lines.push('\n');
            Ok(if lines.len() < MAX_CASE_BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok((left_out, lines))
    });
    let (left_out, lines) = found.await?;
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static("application/jsonl")), (LEFT_OUT, HeaderValue::from(left_out))];
    Ok((headers, lines).into_response())
}

/// # Errors
/// If the content type is not that of JSON.
pub(super) fn check_json_type(headers: &HeaderMap, example: &str) -> Result<(), Failed> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().map(str::trim) == Some("application/json") {
        return Ok(());
    }
    let why = format!("send JSON as the body, with Content-Type: application/json, such as {example}");
    Err(failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
}

/// Reads a JSON body. The content type is one that a web page can't send to another origin.
async fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Failed> {
    check_json_type(headers, "{\"reason\": \"ticket 42\"}")?;
    let bytes = to_bytes(body, MAX_JSON_BYTES).await;
    let bytes = bytes.map_err(|error| {
        bad(format!("the body was not complete: {error}. Send at most {MAX_JSON_BYTES} bytes of JSON"))
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        bad(format!("the body is not allowed: {error}. Send JSON such as {{\"reason\": \"ticket 42\"}}"))
    })
}

fn checked_reason(reason: String) -> Result<String, Failed> {
    if reason.trim().is_empty() {
        return Err(bad("field reason: it is empty; say why, for those who read it later".to_owned()));
    }
    Ok(reason)
}

/// The parts of a request with a decision.
type Decide = (State<Arc<PipelineRegistry>>, OfPipeline, PathParts, Parameters, HeaderMap, Body);

async fn decide(
    (State(registry), OfPipeline(entry), parts, parameters, headers, body): Decide,
    name: &str,
    mark_of: impl FnOnce(&mut DecisionRequest) -> Result<GroupMark, Failed>,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    parameters.end().map_err(bad)?;
    let group = group_in(&parts, StateFilter::All)?.selection.group.unwrap_or_default();
    let mut request: DecisionRequest = json_body(&headers, body).await?;
    let mark = mark_of(&mut request)?;
    for (field, is_given) in [("until", request.until.is_some()), ("version", request.version.is_some())] {
        if is_given {
            return Err(bad(format!("field {field}: {name} does not have it. Leave it out")));
        }
    }
    let reason = checked_reason(request.reason)?;
    let recorded = write(&registry.scans, letters, move |access| mark::mark(access, &group, &mark, (&reason, who())));
    Ok(Json(recorded.await?).into_response())
}

macro_rules! decision {
    ($handler:ident, $name:literal, $mark:expr) => {
        async fn $handler(
            registry: State<Arc<PipelineRegistry>>,
            entry: OfPipeline,
            parts: PathParts,
            parameters: Parameters,
            headers: HeaderMap,
            body: Body,
        ) -> Result<Response, Failed> {
            decide((registry, entry, parts, parameters, headers, body), $name, $mark).await
        }
    };
}

decision!(acknowledge, "acknowledge", |_| Ok(GroupMark::Acknowledge));
decision!(resolve, "resolve", |request| Ok(GroupMark::Resolve(request.version.take())));
decision!(mute, "mute", |request| request.until.take().map(|text| end_of_mute(&text)).transpose().map(GroupMark::Mute));
decision!(reopen, "reopen", |_| Ok(GroupMark::Reopen));

fn end_of_mute(text: &str) -> Result<DateTime<Utc>, Failed> {
    let until = DateTime::parse_from_rfc3339(text).ok().map(|until| until.to_utc()).filter(|until| *until > Utc::now());
    until.ok_or_else(|| {
        bad(format!("field until: {text:?} is not allowed: give a time in the future, such as 2030-01-31T10:00:00Z"))
    })
}

async fn discard_letters(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    mut parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    let filter = parameters.meant_filter().map_err(bad)?;
    parameters.end().map_err(bad)?;
    let DiscardRequest { reason } = json_body(&headers, body).await?;
    let reason = checked_reason(reason)?;
    let discarded = write(&registry.scans, letters, move |access| {
        let discarded = discard::discard(access, &filter, &reason, &who())?;
        Ok(DiscardedLetters { topic: access.dead_letters.clone(), discarded, reason })
    });
    Ok(Json(discarded.await?).into_response())
}
