//! The settings of `mapper-host run`, checked individually and for consistency.

use std::path::PathBuf;
use std::time::Duration;

use super::readers::{HOUR, MOST_PARTITIONS, batch_records, cache_dir, connect_timeout, log, path, state_dir, within};
use super::sources::Sources;
use super::topics::{self, Topics};
use super::{CliError, admin, in_force, pairs, pipelines, readers, sandbox, swap};
use crate::config::{
    DEFAULT_PIPELINE, Delivery, MemoryBound, Pairs, PipelineSpec, RunConfig, RunSettings, values, webhook,
};

/// The default of `max.poll.interval.ms` in librdkafka.
const POLL_INTERVAL_MS: u64 = 300_000;

const NO_PLUGIN: &str = "give a plugin with --plugin FILE, for example --plugin plugins/reduce_visit.wasm \
    (or MAPPER_PLUGIN, or the key plugin of the file given with --config)";
/// The required keys of a `[[pipeline]]` table or of the file above the tables, each with an example.
const NEEDED: [(&str, &str); 4] = [
    ("plugin", "plugins/reduce_visit.wasm"),
    ("brokers", "localhost:9092"),
    ("output-topic", "visits_reduced"),
    ("dead-letter-topic", "visits_dlq"),
];
/// The default of --workers with brokers.
const WORKERS: usize = 2;
/// The embedded broker ends a rebalance only after the session timeout, so that of the demo is short.
const DEMO_SESSION_TIMEOUT: Duration = Duration::from_secs(6);
const ONLY_KAFKA: &str = "the embedded broker of the demo has no real transactions and no data of yours";

/// Reads and checks the settings. `mistakes` are those already found in the file.
///
/// # Errors
/// The invalid setting, its source, and the allowed values; for a file with `[[pipeline]]` tables, all of them.
pub(super) fn config(sources: &Sources<'_>, mistakes: Vec<CliError>) -> Result<RunConfig, CliError> {
    let Some(file) = sources.file().filter(|file| !file.pipelines.is_empty()) else {
        if let Some(mistake) = mistakes.into_iter().next() {
            return Err(mistake);
        }
        let spec = pipeline(sources)?;
        return in_force::add(sources, RunConfig { pipelines: vec![spec], ..process(sources)? });
    };
    match everything(sources, mistakes) {
        (Some(config), mistakes) => {
            pipelines::as_error(&file.path, mistakes).map_or_else(|| in_force::add(sources, config), Err)
        }
        (None, mistakes) => Err(pipelines::as_error(&file.path, mistakes).unwrap_or_else(|| unreachable!("a mistake"))),
    }
}

/// The valid settings of the process and of its pipelines, and all mistakes after the given ones.
pub(super) fn everything(sources: &Sources<'_>, mut mistakes: Vec<CliError>) -> (Option<RunConfig>, Vec<CliError>) {
    let (config, wrong) = pipelines::read_without_mistakes(sources.clone(), process);
    mistakes.extend(wrong);
    let (pipelines, wrong) = pipelines::read(sources);
    mistakes.extend(wrong);
    (config.map(|config| RunConfig { pipelines, ..config }), mistakes)
}

/// The settings of the process, without its pipelines.
pub(super) fn process(sources: &Sources<'_>) -> Result<RunConfig, CliError> {
    let (admin, admin_token_file) = admin::config(sources)?;
    let file = sources.file().filter(|file| !file.pipelines.is_empty());
    Ok(RunConfig {
        pipelines: Vec::new(),
        settings: RunSettings::default(),
        file: file.map(|file| PathBuf::from(&file.path)),
        fail_fast: sources.value("fail-fast", values::switch)?,
        cache_dir: cache_dir(sources)?,
        state_dir: state_dir(sources)?,
        admin,
        admin_base_path: admin::base_path(sources)?,
        admin_payloads: admin::payloads(sources, admin)?,
        tracing: admin::tracing(sources)?,
        alert_webhook: sources.find("alert-webhook").map(|given| given.read_secret(webhook::url)).transpose()?,
        admin_token_file,
        log: log(sources)?,
    })
}

/// The settings of one pipeline.
///
/// # Errors
/// The first invalid setting, its source, and the allowed values.
pub(super) fn pipeline(sources: &Sources<'_>) -> Result<PipelineSpec, CliError> {
    let table = sources.table();
    if table.is_some() {
        // The defaults are those of the demo.
        for (name, example) in NEEDED {
            sources.demand(name, example)?;
        }
        if sources.list("input-topics").is_empty() && !sources.is_left_out("input-topics") {
            sources.demand("input-topic", "visits")?;
        }
    }
    let plugin = sources.optional("plugin", path)?;
    let plugin = plugin.or_else(|| sources.is_left_out("plugin").then(PathBuf::new));
    let plugin = plugin.ok_or_else(|| CliError::Setting { name: "plugin", message: NO_PLUGIN.to_owned() })?;
    let (brokers, kafka) = readers::kafka(sources)?;
    let has_brokers = brokers.is_some() || sources.is_left_out("brokers");
    let (delivery, until_end) = delivery(sources, has_brokers)?;
    let topics = Topics::read(sources)?;
    let times = readers::transaction_times(sources, &kafka, delivery)?;
    let swap = swap::config(sources, !has_brokers)?;
    let spec = PipelineSpec {
        name: table.and_then(|table| table.name.clone()).unwrap_or_else(|| DEFAULT_PIPELINE.to_owned()),
        plugin,
        set: pairs::plugin(sources)?,
        brokers,
        group: readers::group(sources)?,
        connect_timeout: connect_timeout(sources)?,
        kafka_unready_after: sources.value("kafka-unready-after", within(Duration::ZERO, HOUR))?,
        session_timeout: session_timeout(sources, &kafka, has_brokers)?,
        kafka,
        input_topics: topics.input,
        output_topic: topics.output,
        dead_letter_topic: topics.dead_letters,
        state_topic: topics.states,
        extra_topics: topics.extra,
        ledger_topic: topics.ledger,
        input_policy: topics::input_policy(sources)?,
        create_topics: sources.optional("create-topics", |text| values::whole32(text, 1..=MOST_PARTITIONS))?,
        delivery,
        until_end,
        commit_interval: times.commit_interval,
        commit_records: sources.value("commit-records", |text| values::count(text, 1..=u64::MAX))?,
        commit_bytes: sources.value("commit-bytes", |text| values::size(text, 1..=u64::MAX))?,
        transaction_timeout: times.timeout,
        transactional_id: sources.optional("transactional-id", values::name)?,
        drain_timeout: sources.value("drain-timeout", within(Duration::ZERO, HOUR))?,
        workers: workers(sources, has_brokers)?,
        batch_records: batch_records(sources)?,
        limits: sandbox::limits(sources)?,
        grants: sandbox::grants(sources)?,
        failures: super::failures::config(sources)?,
        schemas: super::schemas::config(sources)?,
        swap,
    };
    fits_budget(sources, &spec)?;
    Ok(spec)
}

/// Checks that the sum of the limits of a pipeline does not exceed its budget.
fn fits_budget(sources: &Sources<'_>, spec: &PipelineSpec) -> Result<(), CliError> {
    let Some(given) = sources.find("memory-budget") else { return Ok(()) };
    let budget = given.read(|text| values::size(text, 1..=u64::MAX))?;
    let bound = MemoryBound::of(spec);
    if bound.total() > budget as u64 {
        return Err(given.refuse(&format!(
            "the limits of the pipeline add up to {bound}. Give more, or lower --workers, --memory-limit or --output-limit"
        )));
    }
    Ok(())
}

/// The delivery guarantee and `--until-end`; rejected without brokers if they need them.
fn delivery(sources: &Sources<'_>, brokers: bool) -> Result<(Delivery, bool), CliError> {
    let asked = sources.find("delivery");
    let delivery = match &asked {
        Some(given) => given.read(values::delivery)?,
        None if brokers => Delivery::ExactlyOnce,
        None => Delivery::AtLeastOnce,
    };
    let until_end = sources.value("until-end", values::switch)?;
    if brokers {
        return Ok((delivery, until_end));
    }
    let needs = [
        ("delivery", delivery == Delivery::ExactlyOnce),
        ("until-end", until_end),
        ("input-topics", true),
        ("create-topics", true),
        ("ledger-topic", true),
        ("transactional-id", true),
    ];
    for (name, wanted) in needs {
        let Some(given) = sources.find(name).filter(|given| wanted && given.explicit()) else { continue };
        return Err(given.refuse(&format!("it needs a Kafka, given with --brokers: {ONLY_KAFKA}")));
    }
    Ok((delivery, until_end))
}

/// The number of workers. The demo has one, because the embedded broker takes a session timeout for each rebalance.
fn workers(sources: &Sources<'_>, has_brokers: bool) -> Result<usize, CliError> {
    let given = sources.optional("workers", |text| values::count(text, 1..=256))?;
    Ok(given.unwrap_or(if has_brokers { WORKERS } else { 1 }))
}

/// The session timeout, which must be consistent with the other timeouts of a member.
fn session_timeout(sources: &Sources<'_>, kafka: &Pairs, has_brokers: bool) -> Result<Duration, CliError> {
    let given = sources.present("session-timeout");
    let timeout = given.read(within(Duration::from_secs(1), Duration::from_secs(1800)))?;
    if !has_brokers && !given.explicit() {
        return Ok(DEMO_SESSION_TIMEOUT);
    }
    let property = |name| kafka.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if given.explicit() && property("group.protocol") == Some("consumer") {
        return Err(given.refuse(
            "with the property group.protocol=consumer the broker decides (group.consumer.session.timeout.ms); leave it out",
        ));
    }
    // librdkafka rejects a value that is not a number.
    let poll = property("max.poll.interval.ms").map_or(Some(POLL_INTERVAL_MS), |text| text.parse().ok());
    if let Some(poll) = poll.map(Duration::from_millis).filter(|poll| timeout > *poll) {
        if !given.explicit() {
            return Ok(poll);
        }
        let poll = humantime::format_duration(poll);
        return Err(given.refuse(&format!(
            "it is longer than the property max.poll.interval.ms ({poll}); give less, or raise that one with --kafka"
        )));
    }
    Ok(timeout)
}
