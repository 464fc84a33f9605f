//! One dead letter, with the record that failed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mapper_api::dead_letters::{Letter, LetterInput};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame;
use crate::Console;
use crate::api::{escaped, of_pipeline};
use crate::format::{excerpt, safe, time, time_of_ms};
use crate::frame::{Frame, facts};
use crate::session::Session;

/// The characters of a value that are shown. The command shows all.
const MAX_VALUE_CHARS: usize = 64 << 10;
/// The bytes of a hex dump.
const MAX_DUMP_BYTES: usize = 4 << 10;
const DUMP_WIDTH: usize = 16;

#[derive(Debug, Deserialize)]
pub(in crate::pages) struct At {
    /// `TOPIC/PARTITION@OFFSET` of the letter or of the record.
    position: String,
}

pub(in crate::pages) async fn page(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
    Path(name): Path<String>,
    Query(At { position }): Query<At>,
) -> Response {
    let title = format!("Letters at {position}");
    let frame = frame(&console, &session, &name, &title);
    let path = of_pipeline(&name, &format!("/dead-letters/letter?position={}", escaped(&position)));
    let letters: Result<Vec<Letter>, _> = session.client(&console).get(path).await;
    match letters {
        Ok(letters) => frame.page(&html! {
            @for letter in &letters { (content(&frame, &name, letter)) }
            (frame.command(&format!("mapper-host dlq show {position}")))
        }),
        Err(error) => frame.error(&error),
    }
}

fn content(frame: &Frame<'_>, pipeline: &str, letter: &Letter) -> Markup {
    let group = frame.console.link_of(pipeline, &format!("/dead-letters/groups/{}", escaped(&letter.fingerprint)));
    html! {
        section {
            h2 { (safe(&letter.position)) }
            p .message.doubtful { strong { (safe(&letter.kind)) ": " } (safe(&letter.message)) }
            (facts(&[
                ("State", html! { (safe(&letter.state)) }),
                ("Record", html! { (letter.source.as_deref().map_or_else(|| "unknown".into(), safe)) }),
                ("Group", html! { a href=(group) { code { (safe(&letter.fingerprint)) } } }),
                ("Failed", html! { @if let Some(at) = &letter.failed_at { (time(at)) } @else { "unknown" } }),
                ("Version", html! { @if let Some(version) = &letter.plugin { (safe(&version.name)) " " (safe(&version.version)) } @else { "unknown" } }),
                ("Failures of the record", html! { (letter.attempt) }),
            ]))
            @if let Some(cut) = &letter.cut { p .message { "Parts of the record did not fit into the letter: " (safe(cut)) } }
            @if let Some(backtrace) = &letter.backtrace { h3 { "Backtrace and log" } pre { (safe(backtrace)) } }
            @match &letter.input { Some(input) => (record(frame.session, input)), None => p { "The letter does not contain its record." } }
        }
    }
}

fn record(session: &Session, input: &LetterInput) -> Markup {
    html! {
        h3 { "Input" }
        (bytes(input.value.as_deref(), input.value_base64.as_deref(), session.absent("tombstone: no value")))
        h3 { "Key" }
        (bytes(input.key.as_deref(), input.key_base64.as_deref(), session.absent("no key")))
        @if let Some(ms) = input.timestamp_ms { p { "Timestamp: " (time_of_ms(ms)) } }
        @if !input.headers.is_empty() {
            h3 { "Headers" }
            div .scroll tabindex="0" role="group" aria-label="Table" { table { tbody { @for (name, value) in &input.headers {
                tr { th scope="row" { (safe(name)) } td { (value.as_deref().map_or_else(|| "null".to_owned(), |value| excerpt(value, 2000))) } }
            } } } }
        }
    }
}

/// Text as it is, and bytes as a hex dump.
fn bytes(text: Option<&str>, base64: Option<&str>, none: &str) -> Markup {
    html! {
        @match (text, base64.and_then(|base64| BASE64_STANDARD.decode(base64).ok())) {
            (Some(text), _) => pre .value tabindex="0" { (excerpt(text, MAX_VALUE_CHARS)) },
            (None, Some(bytes)) => {
                pre .value tabindex="0" { (dump(&bytes[..bytes.len().min(MAX_DUMP_BYTES)])) }
                @if bytes.len() > MAX_DUMP_BYTES { p .quiet { "The first " (MAX_DUMP_BYTES) " of " (bytes.len()) " bytes." } }
            },
            (None, None) => p .quiet { (none) },
        }
    }
}

/// Offsets, bytes and ASCII, as `hexdump -C` shows them.
fn dump(bytes: &[u8]) -> String {
    let line = |(index, line): (usize, &[u8])| {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = line
            .iter()
            .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
            .collect();
        format!("{:08x}  {:<47}  |{text}|\n", index * DUMP_WIDTH, hex.join(" "))
    };
    bytes.chunks(DUMP_WIDTH).enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dump_has_offsets_bytes_and_text() {
        let lines = dump(b"\0\xff<script>abcdefg\x1b");
        assert_eq!(
            lines,
            "00000000  00 ff 3c 73 63 72 69 70 74 3e 61 62 63 64 65 66  |..<script>abcdef|\n\
             00000010  67 1b                                            |g.|\n"
        );
    }
}
