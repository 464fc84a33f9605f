//! The dead letters of the native job: what the host writes, written for this one job.

use std::collections::HashMap;
use std::io::Write as _;

use anyhow::Result;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use sha2::{Digest, Sha256};

use crate::Topics;

const KIND: &str = "rejected";
/// The plugin has one; here there is only something as long.
const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Writes dead letters.
pub(super) struct Letters {
    /// The headers that are the same in all of them; none at all if they are left out.
    fixed: Option<OwnedHeaders>,
    processing_time: String,
    fingerprints: HashMap<String, String>,
}

impl Letters {
    pub(super) fn new(topics: &Topics, worker: usize, has_headers: bool) -> Self {
        let task = worker.to_string();
        let fixed = [
            ("__connect.errors.topic", topics.input.as_str()),
            ("__connect.errors.connector.name", &topics.group),
            ("__connect.errors.task.id", &task),
            ("__connect.errors.stage", "TRANSFORMATION"),
            ("__connect.errors.class.name", "reduce_visit"),
            ("__connect.errors.exception.class.name", KIND),
            ("mapper-host.headers", "1"),
            ("mapper-host.kind", KIND),
            ("mapper-host.plugin.name", "reduce_visit"),
            ("mapper-host.plugin.version", env!("CARGO_PKG_VERSION")),
            ("mapper-host.plugin.digest", DIGEST),
            ("mapper-host.contract", mapper_runtime::CONTRACT_VERSION),
            ("mapper-host.group", &topics.group),
            ("mapper-host.attempt", "1"),
        ];
        let fixed = fixed.into_iter().fold(OwnedHeaders::new_with_capacity(32), add);
        Self { fixed: has_headers.then_some(fixed), processing_time: String::new(), fingerprints: HashMap::new() }
    }

    /// The time at which the next records are processed.
    pub(super) fn set_time(&mut self) {
        self.processing_time = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    }

    /// Writes the envelope, and returns the headers.
    pub(super) fn write(
        &mut self,
        record: &impl Message,
        message: &str,
        value: &mut Vec<u8>,
    ) -> Result<Option<OwnedHeaders>> {
        write!(value, "{{\"processing_time\": \"{}\", \"input_json\": ", self.processing_time)?;
        let mut encoding = "";
        match record.payload().map(|input| (std::str::from_utf8(input), input)) {
            None => value.extend(b"null"),
            Some((Ok(text), _)) => serde_json::to_writer(&mut *value, text)?,
            Some((Err(_), bytes)) => {
                encoding = ", \"input_encoding\": \"base64\"";
                serde_json::to_writer(&mut *value, &BASE64_STANDARD.encode(bytes))?;
            }
        }
        value.extend(b", \"error_message\": ");
        serde_json::to_writer(&mut *value, message)?;
        value.extend(encoding.as_bytes());
        value.push(b'}');
        Ok(self.headers(record, message))
    }

    fn headers(&mut self, record: &impl Message, message: &str) -> Option<OwnedHeaders> {
        let mut headers = self.fixed.clone()?;
        let fingerprint = match self.fingerprints.get(message) {
            Some(known) => known,
            None => self.fingerprints.entry(message.to_owned()).or_insert_with(|| fingerprint(message)),
        };
        for (name, value) in [
            ("__connect.errors.partition", record.partition().to_string().as_str()),
            ("__connect.errors.offset", &record.offset().to_string()),
            ("__connect.errors.exception.message", message),
            ("__connect.errors.exception.stacktrace", &format!("{KIND}: {message}")),
            ("mapper-host.fingerprint", fingerprint),
        ] {
            headers = add(headers, (name, value));
        }
        if let Some(timestamp) = record.timestamp().to_millis() {
            headers = add(headers, ("mapper-host.source.timestamp-ms", &timestamp.to_string()));
        }
        if let Some(kept) = record.headers() {
            headers = kept.iter().fold(headers, |headers, header| headers.insert(header_of(header.key, header.value)));
        }
        Some(headers)
    }
}

fn add(headers: OwnedHeaders, (name, value): (&str, &str)) -> OwnedHeaders {
    headers.insert(Header { key: name, value: Some(value) })
}

fn header_of<'a>(key: &'a str, value: Option<&'a [u8]>) -> Header<'a, &'a [u8]> {
    Header { key, value }
}

/// A name for the message without its numbers: 16 hexadecimal digits.
fn fingerprint(message: &str) -> String {
    let normal: String = message.split(|character: char| character.is_ascii_digit()).collect::<Vec<_>>().join("#");
    Sha256::digest(format!("{KIND}\n{normal}")).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
