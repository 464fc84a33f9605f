//! Try-outs and redrives of dead letters.

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use mapper_api::PIPELINES_PATH;
use mapper_api::redrives::{LetterTryOut, Redrive};
use mapper_core::identity::Version;

use super::dead_letters::letters_of;
use super::events::MAX_SUBSCRIBERS;
use super::json::Json;
use super::parameters::{ID, Parameters, PathParts, bad};
use super::payloads::PayloadFilter;
use super::pipelines::OfPipeline;
use super::versions::{Failed, failed, read_plugin};
use crate::config::StaleKeys;
use crate::config::values::{self, Read};
use crate::dlq::redrive::try_out::try_letters;
use crate::dlq::{PipelineLetters, RedriveJob, RedriveOptions, RedriveVersion, Unavailable};
use crate::pipelines::{Entry, PipelineRegistry};

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    let redrive = format!("/redrives/{{{ID}}}");
    Router::new()
        .route("/dead-letters/try", post(try_out))
        .route("/redrives", get(list).post(start))
        .route(&redrive, get(show).delete(stop))
        .route(&format!("{redrive}/continue"), post(go_on))
        .route(&format!("{redrive}/events"), get(follow))
        // The handler limits the body when it reads it.
        .layer(DefaultBodyLimit::disable())
}

/// The options of a redrive, and whether it is a try-out.
fn read_options(parameters: &mut Parameters) -> Read<(RedriveOptions, bool)> {
    let options = RedriveOptions {
        filter: parameters.open_filter()?,
        to_input: parameters.switch("to-input")?,
        max_attempts: parameters.value("max-attempts", |text| values::whole32(text, 1..=u32::MAX))?,
        limit: parameters.number("limit", 1..=u64::MAX)?,
        rate: parameters.value("rate", values::letter_rate)?,
        batches: parameters.value("batches", values::letter_batches)?.unwrap_or_default(),
        yes: parameters.switch("yes")?,
        stale_keys: parameters.value("stale-keys", |text| values::one_of(text, &StaleKeys::ALL))?.unwrap_or_default(),
        stops_on_regression: parameters.switch("stop-on-regression")?,
        takes_over: parameters.switch("take-over")?,
    };
    let is_dry_run = parameters.switch("dry-run")?;
    if is_dry_run && options.to_input {
        return Err("parameter dry-run: it maps the letters; leave out to-input".to_owned());
    }
    Ok((options, is_dry_run))
}

/// Whether a request has no body.
fn is_empty(headers: &HeaderMap) -> bool {
    let has_length = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    !has_length && !headers.contains_key(TRANSFER_ENCODING) && !headers.contains_key(CONTENT_TYPE)
}

/// The plugin in the body; without one, the active version.
async fn version(
    entry: &Entry,
    letters: &PipelineLetters,
    headers: &HeaderMap,
    body: Body,
) -> Result<RedriveVersion, Failed> {
    if is_empty(headers) {
        return entry.active_plugin().map(RedriveVersion::Active).ok_or_else(|| match entry.is_elsewhere() {
            true => failed(
                StatusCode::CONFLICT,
                "no version is active in the console: the pipeline runs in other processes. Upload the plugin that maps the letters, or \
                 start the console with --host URL to redrive them with the active version of that host",
            ),
            false => failed(
                StatusCode::SERVICE_UNAVAILABLE,
                "the pipeline is still starting: no version is active yet",
            ),
        });
    }
    read_plugin(&letters.uploads, headers, body).await.map(RedriveVersion::Uploaded)
}

async fn try_out(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    mut parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    let options = RedriveOptions {
        filter: parameters.open_filter().map_err(bad)?,
        max_attempts: parameters.value("max-attempts", |text| values::whole32(text, 1..=u32::MAX)).map_err(bad)?,
        limit: parameters.number("limit", 1..=u64::MAX).map_err(bad)?,
        ..RedriveOptions::default()
    };
    parameters.end().map_err(bad)?;
    try_with(&registry, (&entry, letters), options, (headers, body)).await
}

async fn try_with(
    registry: &PipelineRegistry,
    (entry, letters): (&Entry, Arc<PipelineLetters>),
    options: RedriveOptions,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Failed> {
    // Before the plugin is read, so that few are in memory.
    let turn = registry.scans.wait_for_turn().await?;
    let version = version(entry, &letters, &headers, body).await?;
    let tried = turn.run(move |cancel| {
        let plugin = match version {
            RedriveVersion::Uploaded(bytes) => letters.load(&bytes, cancel)?,
            RedriveVersion::Active(plugin) => plugin,
        };
        let version = Version::from(&plugin.identity);
        let (tried, left_out) =
            try_letters(&letters.connect(cancel)?, &letters.redrive_config(options), plugin, cancel)?;
        Ok(LetterTryOut { version: Some(version), left_out: Some(left_out), ..tried })
    });
    Ok(Json(tried.await?).into_response())
}

impl From<Unavailable> for Failed {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Ending => failed(StatusCode::SERVICE_UNAVAILABLE, "the host ends, and starts no redrive"),
            Unavailable::Running(job) => {
                let Redrive { id, state, by, started, progress, .. } = job.view();
                let why = format!(
                    "a redrive of this pipeline runs already: {id}, {}, started by {by} at {started}, {} of {} letters done. Wait until it \
                     ends (GET redrives/{id}/events), or stop it (DELETE redrives/{id})",
                    state.name(),
                    progress.done,
                    progress.letters
                );
                failed(StatusCode::CONFLICT, why)
            }
        }
    }
}

async fn start(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    mut parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let letters = letters_of(&entry)?;
    let (options, is_dry_run) = read_options(&mut parameters).map_err(bad)?;
    parameters.end().map_err(bad)?;
    if is_dry_run {
        return try_with(&registry, (&entry, letters), options, (headers, body)).await;
    }
    // Before the plugin is read, so that only one is in memory.
    let reserved = registry.redrives.reserve(entry.name(), options.to_input)?;
    let version = if options.to_input {
        if !is_empty(&headers) {
            return Err(bad(
                "parameter to-input: no version maps the records; leave out the plugin in the body".to_owned()
            ));
        }
        None
    } else {
        Some(version(&entry, &letters, &headers, body).await?)
    };
    let config = letters.redrive_config(options);
    let begun = reserved.job().start(&registry, (entry.name().to_owned(), letters), config, version)?;
    let ended =
        || failed(StatusCode::INTERNAL_SERVER_ERROR, "the thread of the redrive ended; see the error in the log");
    begun.await.map_err(|_| ended())??;
    let view = reserved.job().view().clone();
    let location = format!("{PIPELINES_PATH}/{}/redrives/{}", entry.name(), view.id);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(view)).into_response())
}

async fn list(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    parameters: Parameters,
) -> Result<Response, Failed> {
    letters_of(&entry)?;
    parameters.end().map_err(bad)?;
    let jobs = registry.redrives.of_pipeline(entry.name());
    let views: Vec<Redrive> = jobs.iter().map(|job| job.view()).collect();
    Ok(Json(views).into_response())
}

/// The redrive that the path names.
fn job_in(registry: &PipelineRegistry, entry: &Entry, parts: &PathParts) -> Result<Arc<RedriveJob>, Failed> {
    letters_of(entry)?;
    let (id, jobs) = (parts.get(ID), registry.redrives.of_pipeline(entry.name()));
    let found = jobs.iter().find(|job| job.view().id == id).cloned();
    found.ok_or_else(|| {
        let why = format!(
            "there is no redrive {id:?} of this pipeline here: the host knows the {} redrives that it has started last. GET redrives lists them",
            jobs.len()
        );
        failed(StatusCode::NOT_FOUND, why)
    })
}

async fn show(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    parts: PathParts,
) -> Result<Response, Failed> {
    let job = job_in(&registry, &entry, &parts)?;
    let view = job.view();
    Ok(Json(view).into_response())
}

async fn stop(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    parts: PathParts,
) -> Result<Response, Failed> {
    let job = job_in(&registry, &entry, &parts)?;
    job.stop();
    let view = job.view();
    let status = if view.state.is_ended() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(view)).into_response())
}

async fn go_on(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    parts: PathParts,
) -> Result<Response, Failed> {
    let job = job_in(&registry, &entry, &parts)?;
    if !job.continue_with_next_batch() {
        let Redrive { id, state, .. } = job.view();
        let why = format!(
            "the redrive {id} does not wait for an answer: it is {}. GET redrives/{id} shows its state",
            state.name()
        );
        return Err(failed(StatusCode::CONFLICT, why));
    }
    let view = job.view();
    Ok(Json(view).into_response())
}

async fn follow(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    parts: PathParts,
    Extension(filter): Extension<PayloadFilter>,
) -> Result<Response, Failed> {
    let job = job_in(&registry, &entry, &parts)?;
    registry.subscribers.follow(job.subscribe(), filter).ok_or_else(|| {
        let why = format!(
            "{MAX_SUBSCRIBERS} clients follow redrives already. Ask for the state instead: GET redrives/{}",
            job.view().id
        );
        failed(StatusCode::SERVICE_UNAVAILABLE, why)
    })
}
