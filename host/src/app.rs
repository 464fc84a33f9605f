//! Runs `mapper-host run` and `mapper-host generate` with their checked configuration.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::alerts::Alerts;
use crate::config::{Delivery, GenerateConfig, PipelineSpec, Rhythm, RunConfig};
use crate::demo::{self, Demo};
use crate::pipelines::{Entry, Manager, PipelineRegistry, Policy, Reread, Shared};
use crate::threads::spawn_watcher;
use crate::{admin, report, state_dir};
use mapper_author::guest::build_if_absent;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_kafka::setup::Setup;
use mapper_kafka::{KafkaSettings, TopicProducer};
use mapper_telemetry::GroupRegistry;
use mapper_terminal::console::Console;
use mapper_versions::Reload;
use mapper_visits::{BURST_ROWS, Generator};

/// Runs until a shutdown, or until the end of the input with `--until-end`.
///
/// # Errors
/// The reason why the host stopped.
pub fn run(
    config: &RunConfig,
    console: &Console,
    (shutdown, reload): (&Shutdown, &Reload),
    reread: Reread<'_>,
) -> Result<(), Halt> {
    let registry = Arc::new(PipelineRegistry::default());
    registry.set_settings(config.settings.clone());
    for spec in &config.pipelines {
        let entry = Entry::new(&spec.name, 1);
        entry.telemetry.health.not_ready("start", "loading the plugin and connecting to Kafka");
        registry.insert(entry);
    }
    let state_dir = state_dir::check(config)?;
    let bound = admin::bind(config.admin)?;
    let token = config.admin_token_file.as_deref().map(admin::read_token).transpose();
    let token = token.map_err(|error| Halt::new(Cause::Configuration, error))?;
    let serve = |bound: admin::Bound| {
        let guard = admin::Guard::new(bound.address()?, token);
        let options = admin::Options { base_path: config.admin_base_path.clone(), payloads: config.admin_payloads };
        bound.serve(admin::routes(&registry, guard, options), &registry)
    };
    // The server runs until the end of this function.
    let _server =
        bound.map(serve).transpose().map_err(|error| Halt::internal(error.context("starting the admin server")))?;
    let alerts = config.alert_webhook.as_ref().map(|url| Alerts::start(url, &registry)).transpose();
    let alerts = alerts.map_err(|error| Halt::internal(anyhow::Error::new(error).context("starting a thread")))?;
    let (alerts, queue) = alerts.unzip();
    let shared = Shared {
        cache_dir: config.cache_dir.clone(),
        state_dir: state_dir.map(ToOwned::to_owned),
        tracing: config.tracing.clone(),
        groups: Arc::new(GroupRegistry::new(queue)),
    };
    let demo = config.pipelines.iter().find(|spec| spec.brokers.is_none());
    let demo = demo.map(|spec| start_demo(console, spec, &registry)).transpose()?;
    let cluster = demo.as_ref().map(|(demo, ..)| demo.cluster());
    let has_tables = config.file.is_some();
    let policy = Policy { fail_fast: config.fail_fast || !has_tables, names_pipelines: has_tables };
    let watchers_end = Shutdown::default();
    let ended = std::thread::scope(|scope| {
        let run = || -> Result<(), Halt> {
            let failed = |error| Halt::internal(anyhow::Error::new(error).context("starting a thread"));
            let report = || report::follow(console, &registry, policy.names_pipelines, &watchers_end);
            spawn_watcher(scope, "report", &registry.threads, report).map_err(failed)?;
            if let Some((demo, spec, entry)) = &demo {
                demo.run(scope, console, (spec, &entry.telemetry), (shutdown, &watchers_end)).map_err(failed)?;
            }
            Manager::new(shared, registry.clone(), cluster, policy).run(config, (shutdown, reload), reread)
        };
        let ended = run();
        // Even if not all threads could be started.
        watchers_end.request();
        ended
    });
    alerts.into_iter().for_each(Alerts::finish);
    let plugin_of_demo = demo.map(|(demo, spec, _)| {
        demo.outlive_clients();
        &spec.plugin
    });
    console.finish();
    if ended.is_ok() {
        report::finish(console, &registry, policy.names_pipelines);
        if let Some(plugin) = plugin_of_demo.filter(|_| console.is_for_people()) {
            console.print_text(&demo::next_steps(plugin, &demo::program_name()));
        }
    }
    ended
}

/// Starts the embedded broker for a pipeline without brokers.
fn start_demo<'a>(
    console: &Console,
    spec: &'a PipelineSpec,
    registry: &PipelineRegistry,
) -> Result<(Demo, &'a PipelineSpec, Arc<Entry>), Halt> {
    // Before the banner of the demo: a build takes some time and can fail.
    build_if_absent(&spec.plugin)?;
    let entry = registry.get(&spec.name).ok_or_else(|| Halt::internal(anyhow::anyhow!("no entry of {}", spec.name)))?;
    Ok((Demo::start(console, spec)?, spec, entry))
}

/// Produces visits until a shutdown, or until the count is reached.
///
/// # Errors
/// If Kafka cannot be reached or rejects the records.
pub fn generate(config: &GenerateConfig, console: &Console, shutdown: &Shutdown) -> Result<(), Halt> {
    let settings = KafkaSettings {
        brokers: config.brokers.clone(),
        group: String::new(),
        delivery: Delivery::AtLeastOnce,
        properties: config.kafka.clone(),
        transaction_timeout: Duration::ZERO,
        session_timeout: Duration::ZERO,
        workers: 1,
    };
    let setup = Setup::connect(&settings, config.connect_timeout, shutdown)?;
    setup.ensure_topics([config.topic.as_str()], config.create_topics)?;
    let producer = TopicProducer::new(&settings, &config.topic).map_err(|error| Halt::new(Cause::Kafka, error))?;
    let mut visits = Generator::new(config.profile.clone());
    let started = Instant::now();
    let mut count = 0;
    while !shutdown.requested() && config.count.is_none_or(|most| count < most) {
        let row = visits.next().expect("the generator never ends");
        producer.send(row.key.as_ref().map(String::as_bytes), Some(row.value.as_bytes()), None, shutdown)?;
        count += 1;
        match config.rhythm {
            Rhythm::Reference if count % BURST_ROWS as u64 == 0 => shutdown.sleep(visits.pause()),
            Rhythm::Reference => {}
            Rhythm::Rate(rate) => {
                let due = Duration::from_secs_f64(count as f64 / rate);
                let ahead = due.saturating_sub(started.elapsed());
                // Sleeping for each row would be too coarse at high rates.
                if ahead >= Duration::from_millis(1) {
                    shutdown.sleep(ahead);
                }
            }
        }
        console.live(&format!("{count} visits"));
    }
    producer.finish()?;
    console.finish();
    console.print(format!("{count} visits to '{}' in {:.1} s", config.topic, started.elapsed().as_secs_f64()));
    Ok(())
}
