//! `/map`: maps one record, and produces nothing.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mapper_api::map::{MapInput, MapRequest, MapResult};
use mapper_author::cases;
use mapper_codec::CodecMapper;
use mapper_core::identity::{MAX_PLUGIN_BYTES, Version};
use mapper_core::record::{Batch, NO_TIMESTAMP, Record};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::verdict::Verdict;
use mapper_runtime::{Plugin, PluginMapper};
use mapper_versions::map::{MemoryObserver, map_record};

use super::dead_letters::{check_json_type, letters_of};
use super::json::Json;
use super::parameters::bad;
use super::pipelines::OfPipeline;
use super::versions::{Failed, control, failed, read_upload};
use crate::config::values::Read;
use crate::dlq::ScanError;
use crate::pipelines::PipelineRegistry;
use crate::swap::Control;

/// The largest request: a plugin in base64, and less than a MiB for the record.
const MAX_BODY_BYTES: u64 = MAX_PLUGIN_BYTES / 3 * 4 + (1 << 20);
const EXAMPLE: &str = "{\"record\": {\"value\": \"text\"}}";

pub(super) fn routes() -> Router<Arc<PipelineRegistry>> {
    // The handler limits the body when it reads it.
    Router::new().route("/map", post(map)).layer(DefaultBodyLimit::disable())
}

/// The version that maps the record.
enum Guest {
    Active(Arc<Plugin>),
    Uploaded(Vec<u8>),
}

async fn map(
    State(registry): State<Arc<PipelineRegistry>>,
    OfPipeline(entry): OfPipeline,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<MapResult>, Failed> {
    let (control, letters) = (control(&entry)?, letters_of(&entry)?);
    check_json_type(&headers, EXAMPLE)?;
    // Before the request is read, so that one plugin is in memory.
    let turn = registry.mappings.wait_for_turn().await.map_err(not_mapped)?;
    let MapRequest { record, position, plugin_base64 } = {
        let body = read_upload(&control.uploads, &headers, body, (MAX_BODY_BYTES, "request")).await?;
        serde_json::from_slice(&body)
            .map_err(|error| bad(format!("the body is not allowed: {error}. Send JSON such as {EXAMPLE}")))?
    };
    // A record that somebody has written is what a plugin gets, which is decoded.
    let codec = position.is_some().then(|| entry.codec()).flatten();
    let batch = batch(control, record, position)?;
    let guest = match plugin_base64 {
        Some(base64) => Guest::Uploaded(plugin(&base64)?),
        None => Guest::Active(entry.active_plugin().ok_or_else(|| {
            failed(StatusCode::SERVICE_UNAVAILABLE, "the pipeline is still starting: no version is active yet")
        })?),
    };
    let routes = control.routes().clone();
    let mapped = turn.run(move |cancel: &Shutdown| {
        let plugin = match guest {
            Guest::Active(plugin) => plugin,
            Guest::Uploaded(bytes) => letters.load(&bytes, cancel)?,
        };
        let (version, memory) = (Version::from(&plugin.identity), Arc::new(MemoryObserver::default()));
        let mapper = PluginMapper::new(plugin).observed_by(memory.clone()).keeping_output();
        let mut mapper = CodecMapper::new(mapper, codec.as_deref());
        let case = |record: Record<'_>, verdict: Verdict<'_>| cases::write("from the playground", record, verdict);
        let result = map_record(&mut mapper, version, &batch, &routes, &memory, case);
        Ok::<_, Halt>(MapResult { log: mapper.inner().output().to_owned(), ..result })
    });
    Ok(Json(mapped.await.map_err(not_mapped)?))
}

fn not_mapped(error: ScanError) -> Failed {
    match error {
        ScanError::Busy => failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "another record is being mapped, and one is mapped at a time. Send the request again later",
        ),
        other => other.into(),
    }
}

/// The record of a request.
fn batch(control: &Control, record: Option<MapInput>, position: Option<String>) -> Result<Batch, Failed> {
    match (record, position) {
        (Some(record), None) => given(&control.input_topic(), &record).map_err(bad),
        (None, Some(position)) => control.sampled(&position).map(|sampled| sampled.batch.clone()).ok_or_else(|| {
            let why = format!(
                "the record {position:?} is not in the sample: newer ones have replaced it, or it is not of the form \
                 TOPIC/PARTITION@OFFSET. GET recent lists the records that there are"
            );
            failed(StatusCode::NOT_FOUND, why)
        }),
        (Some(_), Some(_)) => Err(bad("fields record and position: both are given. Send one of them".to_owned())),
        (None, None) => {
            Err(bad(format!("fields record and position: none is given. Send one of them, such as {EXAMPLE}")))
        }
    }
}

fn given(topic: &Arc<str>, input: &MapInput) -> Read<Batch> {
    let MapInput { key, key_base64, value, value_base64, headers, timestamp_ms } = input;
    let key = bytes("key", key.as_ref(), key_base64.as_ref())?;
    let value = bytes("value", value.as_ref(), value_base64.as_ref())?;
    if let Some(negative) = timestamp_ms.filter(|ms| *ms < 0) {
        return Err(format!(
            "field timestamp_ms: {negative} is negative; leave it out for a record without a timestamp"
        ));
    }
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_ref().map(String::as_bytes)));
    let mut batch = Batch::new(topic.clone());
    batch.push((0, 0), timestamp_ms.unwrap_or(NO_TIMESTAMP), key.as_deref(), value.as_deref(), headers);
    Ok(batch)
}

fn bytes(field: &str, text: Option<&String>, base64: Option<&String>) -> Read<Option<Vec<u8>>> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("fields {field} and {field}_base64: both are given. Send one of them")),
        (Some(text), None) => Ok(Some(text.clone().into_bytes())),
        (None, Some(base64)) => decoded(&format!("{field}_base64"), base64).map(Some),
        (None, None) => Ok(None),
    }
}

fn plugin(base64: &str) -> Result<Vec<u8>, Failed> {
    let plugin = decoded("plugin_base64", base64).map_err(bad)?;
    if plugin.len() as u64 > MAX_PLUGIN_BYTES {
        let why = format!("a plugin may have {MAX_PLUGIN_BYTES} bytes at most");
        return Err(failed(StatusCode::PAYLOAD_TOO_LARGE, why));
    }
    Ok(plugin)
}

fn decoded(field: &str, base64: &str) -> Read<Vec<u8>> {
    let decoded = BASE64_STANDARD.decode(base64);
    decoded.map_err(|error| format!("field {field}: it is not base64: {error}. Encode the bytes as RFC 4648 says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_of_a_request_is_text_bytes_or_null() {
        let read = |json: &str| given(&"visits".into(), &serde_json::from_str(json).unwrap());
        let batch =
            read(r#"{"key": "a", "value_base64": "/wA=", "headers": [["h", null]], "timestamp_ms": 5}"#).unwrap();
        let record = batch.record(0);
        assert_eq!(
            (record.key(), record.value(), record.timestamp_ms()),
            (Some(&b"a"[..]), Some(&b"\xff\0"[..]), Some(5))
        );
        assert_eq!(record.headers().collect::<Vec<_>>(), [(&b"h"[..], None)]);
        let batch = read("{}").unwrap();
        assert_eq!(
            (batch.record(0).key(), batch.record(0).value(), batch.record(0).timestamp_ms()),
            (None, None, None)
        );
        for (json, expected) in [
            (r#"{"value": "a", "value_base64": "YQ=="}"#, "fields value and value_base64: both are given"),
            (r#"{"key_base64": "%"}"#, "field key_base64: it is not base64"),
            (r#"{"timestamp_ms": -1}"#, "field timestamp_ms: -1 is negative"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
