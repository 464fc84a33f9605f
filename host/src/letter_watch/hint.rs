//! Finds groups of dead letters whose records a new version maps, so that somebody can redrive them.
//!
//! It maps a bounded sample of the open letters, on a thread of its own.

mod command;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use mapper_api::dead_letters::LetterGroupState;
use mapper_codec::{Codec, CodecMapper};
use mapper_core::dead_letter::DeadLetter;
use mapper_core::decision::{Decision, Routes, decide};
use mapper_core::record::{Batch, NO_TIMESTAMP};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_core::verdict::Verdicts;
use mapper_dead_letters::open_letters::OpenGroup;
use mapper_kafka::PositionReader;
use mapper_pipeline::contracts::Mapper;
use mapper_runtime::{Plugin, PluginMapper};
use mapper_telemetry::RedriveHint;
use mapper_versions::priority;

use super::LetterWatch;
use crate::schema_registry::PipelineMapper;
use crate::swap::ActivePlugin;

pub(crate) use command::RedriveCommand;

/// The interval of checks for another version, and for groups without open letters.
const POLL: Duration = Duration::from_millis(500);
/// The most groups that are tested, the largest first.
const MAX_GROUPS: usize = 20;
/// The time limit of the test of a version.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The timeout of the read of a letter.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// What a test needs.
pub(crate) struct Hints {
    pub(crate) active: ActivePlugin,
    pub(crate) codec: Option<Arc<Codec>>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) command: RedriveCommand,
}

/// The version that is tested.
struct Tested {
    digest: String,
    mapper: PipelineMapper,
    /// Reads the letters that it maps.
    letters: PositionReader,
}

/// The letters of a group that were mapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tried {
    letters: u64,
    passed: u64,
}

impl Hints {
    /// Tests each version that becomes active, until the shutdown.
    pub(crate) fn run(&self, watch: &LetterWatch, shutdown: &Shutdown) {
        priority::lower_current_thread();
        let mut tested = None;
        while !shutdown.requested() {
            shutdown.sleep(POLL);
            // Not before all letters are known.
            let Some(groups) = watch.groups() else { continue };
            let hints = &watch.telemetry.dead_letters;
            let plugin = self.active.get();
            let digest = plugin.identity.digest;
            if tested != Some(digest) {
                tested = Some(digest);
                hints.set_redrivable(Vec::new());
                hints.set_redrivable(self.test(watch, &plugin, groups.clone(), shutdown));
            }
            hints.retain_redrivable(|fingerprint| groups.iter().any(|group| group.fingerprint == fingerprint));
        }
    }

    /// Tests a version. The groups with letters that pass are logged.
    fn test(
        &self,
        watch: &LetterWatch,
        plugin: &Arc<Plugin>,
        mut groups: Vec<OpenGroup>,
        shutdown: &Shutdown,
    ) -> Vec<RedriveHint> {
        groups.retain(|group| group.state != LetterGroupState::Muted);
        groups.sort_by_key(|group| std::cmp::Reverse(group.open));
        let (deadline, mut found, mut tested) = (Instant::now() + TIME_LIMIT, Vec::new(), 0);
        let mapper = CodecMapper::new(PluginMapper::new(plugin.clone()), self.codec.as_deref());
        let letters = PositionReader::new(&watch.settings, &watch.dead_letters);
        let mut version = Tested { digest: plugin.identity.digest.to_string(), mapper, letters };
        let is_over = || shutdown.requested() || Instant::now() >= deadline;
        for group in groups.iter().take(MAX_GROUPS).take_while(|_| !is_over()) {
            tested += 1;
            let tried = self.try_group(watch, group, &mut version, &is_over);
            let Tried { letters, passed } = tried.unwrap_or_else(|halt| {
                let error = halt.reason();
                tracing::warn!(
                    group = group.fingerprint,
                    error,
                    "failed to test a group of dead letters with the active version"
                );
                Tried::default()
            });
            if passed == 0 {
                continue;
            }
            let command = self.command.of_group(&group.fingerprint, &watch.telemetry.about);
            tracing::info!(
                group = group.fingerprint,
                open = group.open,
                tried = letters,
                passed,
                command,
                "the active version maps dead letters of a group; redrive them with this command"
            );
            found.push(RedriveHint { fingerprint: group.fingerprint.clone(), tried: letters, passed, command });
        }
        if tested < groups.len() && !shutdown.requested() {
            tracing::info!(
                tested,
                groups = groups.len(),
                "tested only a part of the groups of dead letters with the active version"
            );
        }
        found
    }

    /// Maps the samples of a group.
    fn try_group(
        &self,
        watch: &LetterWatch,
        group: &OpenGroup,
        version: &mut Tested,
        is_over: &impl Fn() -> bool,
    ) -> Result<Tried, Halt> {
        let mut tried = Tried::default();
        for at in &group.samples {
            if is_over() {
                break;
            }
            let mut batch = Batch::new(watch.dead_letters.as_str());
            version.letters.read(&[*at], &mut batch, usize::MAX, (READ_TIMEOUT, &Shutdown::default()))?;
            let Some(letter) = batch.records().find_map(DeadLetter::read) else { continue };
            // This version has failed on it.
            if letter.plugin.is_some_and(|plugin| plugin.digest == version.digest) {
                continue;
            }
            let Some(record) = failed_record(&letter) else { continue };
            tried.letters += 1;
            tried.passed += u64::from(self.passes(&mut version.mapper, &record));
        }
        Ok(tried)
    }

    fn passes(&self, mapper: &mut PipelineMapper, record: &Batch) -> bool {
        let mut verdicts = Verdicts::default();
        mapper.map(record, &mut verdicts);
        let now_ms = Utc::now().timestamp_millis();
        let mut decisions = record.records().zip(verdicts.iter());
        decisions
            .all(|(record, verdict)| !matches!(decide(record, verdict, &self.routes, now_ms), Decision::DeadLetter(_)))
    }
}

/// The record that failed, as the plugin got it; `None` if the letter does not have the whole record.
fn failed_record(letter: &DeadLetter<'_>) -> Option<Batch> {
    let input = letter.input().ok().filter(|_| letter.is_complete())?;
    let source = letter.source_or_self();
    let mut batch = Batch::new(source.topic);
    let headers = input.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
    let timestamp = input.timestamp_ms.unwrap_or(NO_TIMESTAMP);
    batch.push((source.partition, source.offset), timestamp, input.key.as_deref(), input.value.as_deref(), headers);
    Some(batch)
}
