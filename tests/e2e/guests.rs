//! Guests that execute the commands in their records, in the plugin runtime and without Kafka.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mapper_core::dead_letter::{DeadLetterForm, DeadLetters, HeaderSet, Origin};
use mapper_core::decision::TopicLimits;
use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_pipeline::Mapper;
use mapper_runtime::{Engine, Grants, Limits, Plugin, PluginMapper, helper};
use mapper_telemetry::Telemetry;

use crate::HOST;

/// A guest of each world.
pub(crate) const WORLDS: [&str; 2] = ["tests/guests/commands_batch", "tests/guests/commands_record"];

/// Little memory, and more time than a guest takes for anything that ends, however busy the machine is.
pub(crate) fn limits() -> Limits {
    Limits { record_timeout: Duration::from_secs(60), memory_bytes: 16 << 20, ..Limits::default() }
}

/// A short deadline for endless commands.
pub(crate) fn quick() -> Limits {
    Limits { record_timeout: Duration::from_millis(500), ..limits() }
}

/// A loaded guest and its metrics.
pub(crate) struct Guest {
    pub(crate) mapper: PluginMapper,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// The verdict of a record, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerdictText {
    /// The outputs, or the kind of failure and its message.
    pub(crate) text: String,
    /// The backtrace and the guest stderr of a failure.
    pub(crate) details: String,
}

pub(crate) fn load_with(
    limits: Limits,
    grants: Grants,
    project: &str,
    settings: &[(&str, &str)],
) -> Result<Guest, String> {
    // Backtraces need it for line numbers.
    helper::register_program(HOST.into());
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-guests");
    let engine = Arc::new(Engine::new(limits, Some(cache)).expect("an engine").granting(grants));
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let plugin = Plugin::load(&engine, &harness::plugins::build(HOST, project), &settings);
    plugin.map(Guest::of).map_err(|refused| refused.to_string())
}

pub(crate) fn load(limits: Limits, project: &str) -> Guest {
    load_with(limits, Grants::default(), project, &[]).expect("it loads")
}

/// A record per command, with a key, a timestamp and headers to keep.
pub(crate) fn batch(commands: &[&[u8]]) -> Batch {
    let mut batch = Batch::new("visits");
    for (offset, command) in commands.iter().enumerate() {
        let headers = [(&b"h"[..], Some(&b"1"[..])), (b"h", None)];
        batch.push((3, offset as i64), 1000 + offset as i64, Some(b"key"), Some(command), headers.into_iter());
    }
    batch
}

impl Guest {
    pub(crate) fn of(plugin: Plugin) -> Self {
        let telemetry = Arc::new(Telemetry::default());
        Self { mapper: PluginMapper::new(Arc::new(plugin)).observed_by(telemetry.guest_observer(0)), telemetry }
    }

    /// The fingerprints in the dead letters of the records that fail.
    pub(crate) fn fingerprints(&mut self, batch: &Batch) -> Vec<String> {
        let origin = Origin {
            group: String::new(),
            worker: 0,
            plugin_name: String::new(),
            plugin_version: String::new(),
            plugin_digest: String::new(),
            contract: "",
        };
        let mut letters = DeadLetters::new(origin, HeaderSet::default(), TopicLimits::default());
        let mut verdicts = Verdicts::default();
        self.mapper.map(batch, &mut verdicts);
        let failed = verdicts.iter().zip(batch.records()).filter_map(|(verdict, record)| match verdict {
            Verdict::Failed(failure) => {
                Some(letters.write(record, &failure, DeadLetterForm::default()).fingerprint().to_owned())
            }
            Verdict::Mapped(_) => None,
        });
        failed.collect()
    }

    /// The verdicts as text, one line a record.
    pub(crate) fn verdicts(&mut self, batch: &Batch) -> Vec<String> {
        self.map(batch).into_iter().map(|actual| actual.text).collect()
    }

    pub(crate) fn map(&mut self, batch: &Batch) -> Vec<VerdictText> {
        let mut verdicts = Verdicts::default();
        self.mapper.map(batch, &mut verdicts);
        let actual: Vec<VerdictText> =
            verdicts.iter().zip(batch.records()).map(|(verdict, record)| verdict_text(verdict, record)).collect();
        assert_eq!((actual.len(), verdicts.len()), (batch.len(), batch.len()), "one verdict per record");
        actual
    }
}

fn verdict_text(verdict: Verdict<'_>, record: mapper_core::record::Record<'_>) -> VerdictText {
    let text = |bytes: Option<&[u8]>| match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => "null".to_owned(),
        Some((Ok(text), _)) => text.to_owned(),
        Some((Err(_), bytes)) => bytes.escape_ascii().to_string(),
    };
    match verdict {
        Verdict::Failed(failure) => VerdictText {
            text: format!("{}: {}", failure.kind, failure.message),
            details: failure.details.into_owned(),
        },
        Verdict::Mapped(outputs) => {
            let outputs = outputs.map(|output| {
                let headers: Vec<_> = match output.own_headers() {
                    None => vec!["kept".to_owned()],
                    Some(own) => own.map(|(name, value)| format!("{}={}", text(Some(name)), text(value))).collect(),
                };
                format!(
                    "[{} {} {} {:?} {}]",
                    output.topic().unwrap_or("-"),
                    text(output.key(record)),
                    text(output.value(record)),
                    output.timestamp_ms(record),
                    headers.join(",")
                )
            });
            VerdictText { text: outputs.collect(), details: String::new() }
        }
    }
}
