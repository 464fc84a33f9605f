//! `mapper-host run` from its checked configuration to its end: plugin, Kafka, workers, and what ends them.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::author::guest::build_if_absent;
use crate::config::{Delivery, GenerateConfig, Rhythm, RunConfig};
use crate::console::Console;
use crate::decision::Routes;
use crate::intents::Intents;
use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::setup::Setup;
use crate::kafka::{KafkaSettings, TopicEvents, TopicProducer, Until, step_limits};
use crate::output;
use crate::pipeline::{CommitPolicy, PROVENANCE_BYTES};
use crate::plugin::{Engine, Identity, Plugin};
use crate::shutdown::{Halt, Shutdown};
use crate::spans::Spans;
use crate::swap::candidate::PluginLoader;
use crate::swap::{Reload, Versions};
use crate::telemetry::{Activity, Telemetry, Work};
use crate::topics::{TopicReporter, TopicWatch};
use crate::transactional_id::TransactionalId;
use crate::visits::{BURST_ROWS, Generator};
use crate::worker::{self, Job};
use crate::{admin, committed, demo, report, state_dir};

/// How often it is asked whether another host of the group has done what is left of a run that ends by itself.
const ASK_OTHERS: Duration = Duration::from_secs(1);
const ASK_OTHERS_TIMEOUT: Duration = Duration::from_secs(5);
/// How much longer than the drain timeout a worker may take to close its clients.
const CLOSING_GRACE: Duration = Duration::from_secs(8);
/// How often a record may be mapped before its verdict stands: with its batch, with its batch once more, and alone.
const ATTEMPTS: u32 = 3;

/// Runs until a shutdown, or the end of the input if that was asked for.
///
/// # Errors
/// Why the host had to stop.
pub fn run(config: &RunConfig, console: &Console, shutdown: &Shutdown, reload: &Reload) -> Result<(), Halt> {
    let started = Instant::now();
    let telemetry = Arc::new(Telemetry::default());
    telemetry.health.not_ready("start", "the plugin is being loaded, and Kafka is asked what is there");
    let state_dir = state_dir::check(config)?;
    let bound = admin::bind(config.admin)?;
    let token = config.admin_token_file.as_deref().map(admin::read_token).transpose();
    let token = token.map_err(|error| Halt::configuration(format!("{error:#}")))?;
    let serve = |bound: admin::Bound| {
        let guard = admin::Guard::new(bound.address()?, token);
        bound.serve(admin::routes(&telemetry, guard), &telemetry)
    };
    // Answers until the end of this function.
    let _server =
        bound.map(serve).transpose().map_err(|error| Halt::internal(&error.context("starting the admin server")))?;
    build_if_absent(&config.plugin)?;
    // The workers end before what only watches them.
    let workers_end = Shutdown::default();
    // Compiling and reaching Kafka both take their time: side by side.
    let (plugin, kafka) = std::thread::scope(|scope| {
        let plugin = scope.spawn(|| load(config, [shutdown, &workers_end]));
        let kafka = Kafka::prepare(config, console, shutdown);
        (plugin.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), kafka)
    });
    if shutdown.requested() && plugin.is_err() {
        tracing::info!("clean shutdown before the plugin was loaded");
        return Ok(());
    }
    let ((engine, plugin), kafka) = (plugin?, kafka?);
    let identity = &plugin.identity;
    tracing::info!(
        plugin = identity.name,
        version = identity.version,
        digest = %identity.digest,
        brokers = kafka.settings.brokers,
        group = config.group,
        delivery = %config.delivery,
        workers = config.workers,
        "running"
    );
    describe(config, &telemetry, identity);
    let claimed = match &config.transactional_id {
        Some(id) => TransactionalId::chosen(id.clone()),
        None => match state_dir.filter(|_| config.delivery == Delivery::ExactlyOnce) {
            Some(dir) => TransactionalId::claim(dir, &config.group),
            None => TransactionalId::chosen(String::new()),
        },
    };
    let names = (config.input_topic.as_str(), config.group.as_str());
    let spans = config.tracing.as_ref().map(|tracing| Spans::start(tracing, names, &telemetry.spans)).transpose();
    let spans =
        spans.map_err(|error| Halt::configuration(format!("spans can't be sent: {error}")))?.unwrap_or_default();
    let loader = PluginLoader {
        engine,
        settings: config.set.to_vec(),
        topic: config.input_topic.clone(),
        plugin_file: config.plugin.clone(),
        setup: kafka.setup.clone(),
        telemetry: telemetry.clone(),
    };
    let versions = Versions::open(config, state_dir, (plugin.clone(), loader), kafka.routes.clone(), reload.clone());
    // There is one run in a process, and one control of it.
    let _ = telemetry.versions.set(versions.control.clone());
    // The offsets of a demo are those of a topic that is gone with it.
    let intents = Arc::new(match state_dir.filter(|_| kafka.demo.is_none()) {
        Some(dir) => Intents::open(dir, (&config.group, &config.input_topic), config.failures.poison_after),
        None => Intents::none(),
    });
    let events = Arc::new(match kafka.demo {
        Some(_) => TopicReporter::new(telemetry.clone(), None),
        None => TopicReporter::new(telemetry.clone(), Some(versions.slot.journal.clone())),
    });
    // The embedded broker lasts as long as this process, and so do its topics.
    let written =
        kafka.demo.is_none().then(|| TopicWatch::new(kafka.setup.clone(), &demo_topics(config), events.clone()));
    if let Some(written) = &written {
        written.look();
    }
    let reports: (Arc<dyn TopicEvents>, _) = (events, intents.clone());
    let input_topic = (config.input_topic.as_str(), kafka.demo.is_none());
    let input = kafka.setup.input(input_topic, kafka.until.clone(), config.input_policy, reports)?;
    let job = Arc::new(Job {
        input,
        routes: kafka.routes.clone(),
        kafka: kafka.settings.clone(),
        transactional_id: claimed.id.clone(),
        commit: CommitPolicy {
            interval: config.commit_interval,
            records: config.commit_records,
            bytes: config.commit_bytes,
        },
        batch_records: config.batch_records,
        failures: config.failures.policy,
        intents,
        connect_timeout: config.connect_timeout,
        plugin,
        spans: spans.clone(),
        // The embedded broker ends with the process.
        leaves_group: kafka.demo.is_none(),
        at_work: config.workers.into(),
        slot: versions.slot.clone(),
        speaker: versions.speaker.clone(),
        provenance: config.swap.provenance,
        telemetry: telemetry.clone(),
        shutdown: workers_end.clone(),
    });
    let watchers_end = Shutdown::default();
    let recent_visits = demo::RecentVisits::default();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| report::follow(console, &telemetry, &watchers_end));
        scope.spawn(|| {
            let unready_after = config.kafka_unready_after;
            committed::follow(&kafka.setup, &config.input_topic, &telemetry, unready_after, &watchers_end);
        });
        if let Some(written) = &written {
            scope.spawn(|| written.follow(&watchers_end));
        }
        if kafka.demo.is_some() {
            let topics = demo_topics(config);
            let (settings, end, recent) = (&kafka.settings, &watchers_end, &recent_visits);
            let health = &telemetry.health;
            let warn = |ended: Result<(), Halt>| {
                if let Err(halt) = ended {
                    tracing::warn!("{halt}");
                }
            };
            scope.spawn(move || warn(demo::generate(settings, &config.input_topic, recent, health, end)));
            if console.is_for_people() {
                // The samples show them, with their inputs.
                telemetry.failure_log.mute();
                scope.spawn(move || warn(demo::show_samples(console, settings, &topics, recent, end)));
            }
        }
        telemetry.health.ready("start");
        // Members that join and leave at once cost the group a rebalance: with nothing to do, none joins.
        let has_work = !shutdown.requested() && !kafka.is_done(config);
        let workers = if has_work { worker::start(&job) } else { Ok(Vec::new()) };
        let ended = workers.map_err(|error| Halt::internal(&error)).and_then(|workers| {
            let swapping = versions.start(scope, &workers_end);
            let swapping = swapping.map_err(|error| Halt::internal(&anyhow::Error::new(error).context("swapping")));
            let (drained_by, ended) = supervise(workers, config, &kafka, &telemetry, (shutdown, &workers_end));
            swapping.map(|swapping| swapping.end(drained_by)).and(ended)
        });
        watchers_end.request();
        ended
    });
    if let Some(broker) = kafka.demo {
        broker.outlive_clients();
    }
    spans.finish();
    console.finish();
    match (&ended, console.is_for_people()) {
        (Ok(()), true) => {
            console.print_text(&report::summary(&telemetry, started.elapsed()));
            if config.brokers.is_none() {
                console.print_text(&demo::next_steps(&config.plugin, &demo::program_name()));
            }
        }
        (Ok(()), false) => report::log_summary(&telemetry, started.elapsed()),
        (Err(_), _) => {}
    }
    ended
}

/// Says to whoever watches what this host does, and that it is not ready yet.
fn describe(config: &RunConfig, telemetry: &Telemetry, plugin: &Identity) {
    telemetry.about.set_work(Work {
        delivery: config.delivery.to_string(),
        group: config.group.clone(),
        input_topic: config.input_topic.clone(),
        output_topics: demo_topics(config).outputs.into_iter().map(str::to_owned).collect(),
        dead_letter_topic: config.dead_letter_topic.clone(),
    });
    telemetry.about.set_plugin(plugin.clone(), config.plugin.clone());
    let mapping = config.limits.record_timeout * config.batch_records as u32 * ATTEMPTS;
    telemetry.workers.set_limits(step_limits(config.connect_timeout, mapping, config.transaction_timeout));
    (0..config.workers).for_each(|worker| telemetry.workers.set_member(&telemetry.health, worker, false));
}

/// Loads the plugin. Any of these shutdowns cancels its compilation, and that of later versions.
fn load(config: &RunConfig, ends: [&Shutdown; 2]) -> Result<(Arc<Engine>, Arc<Plugin>), Halt> {
    let engine =
        Engine::with_cache(config.limits, config.cache_dir.as_deref()).map_err(|error| Halt::internal(&error))?;
    config.grants.check().map_err(Halt::configuration)?;
    let engine = ends.into_iter().fold(engine.granting(config.grants.clone()), Engine::cancelled_by);
    let engine = Arc::new(engine);
    let plugin = Plugin::load(&engine, &config.plugin, &config.set)?;
    Ok((engine, Arc::new(plugin)))
}

fn demo_topics(config: &RunConfig) -> demo::Topics<'_> {
    let outputs = [&config.output_topic].into_iter().chain(&config.extra_topics).map(String::as_str).collect();
    demo::Topics { input: &config.input_topic, outputs, dead_letters: &config.dead_letter_topic }
}

/// A Kafka that was found fit for the job.
struct Kafka {
    settings: KafkaSettings,
    routes: Arc<Routes>,
    until: Option<Arc<Until>>,
    setup: Arc<Setup>,
    demo: Option<EmbeddedBroker>,
}

impl Kafka {
    fn prepare(config: &RunConfig, console: &Console, shutdown: &Shutdown) -> Result<Self, Halt> {
        let topics = demo_topics(config);
        let demo = match config.brokers {
            Some(_) => None,
            None => Some(demo::start(console, &topics)?),
        };
        let brokers = demo.as_ref().map(EmbeddedBroker::brokers).or_else(|| config.brokers.clone());
        let settings = KafkaSettings {
            brokers: brokers.unwrap_or_default(),
            group: config.group.clone(),
            delivery: config.delivery,
            properties: config.kafka.clone(),
            transaction_timeout: config.transaction_timeout,
            session_timeout: config.session_timeout,
            workers: config.workers,
        };
        let setup = Setup::connect(&settings, config.connect_timeout, shutdown)?;
        let all = topics.outputs.iter().copied().chain([topics.input, topics.dead_letters]);
        setup.topics(all, config.create_topics)?;
        if demo.is_none() {
            let written: Vec<&str> = topics.outputs.iter().copied().chain([topics.dead_letters]).collect();
            setup.permissions(topics.input, &written)?;
        }
        if demo.is_none() && !config.input_policy.input_is_dead_letters {
            setup.refuse_dead_letters(topics.input)?;
        }
        let routes = match &demo {
            // The mock cluster answers no questions about its configuration.
            Some(_) => Routes::with_default_limits(&topics.outputs, topics.dead_letters),
            None => setup.routes(&topics.outputs, topics.dead_letters)?,
        };
        let added_bytes = if config.swap.provenance { PROVENANCE_BYTES } else { 0 };
        let routes = Routes { added_bytes, ..routes };
        let until = if config.until_end { Some(Arc::new(setup.until(&config.input_topic)?)) } else { None };
        Ok(Self { settings, routes: Arc::new(routes), until, setup: Arc::new(setup), demo })
    }

    /// Whether the group has committed all that a run which ends by itself is to do.
    fn is_done(&self, config: &RunConfig) -> bool {
        self.until.as_ref().is_some_and(|until| {
            let topic = &config.input_topic;
            let Ok(committed) = self.setup.committed(topic, until.partitions(), ASK_OTHERS_TIMEOUT) else {
                return false;
            };
            // Offsets beyond the end are of records that are gone, unless there are newer ones: the workers find out.
            until.done_by(&committed)
                && (until.covers(&committed) || self.setup.until(topic).is_ok_and(|now| now.covers(&committed)))
        })
    }
}

/// Waits for the workers. On a shutdown they get the drain timeout; what is not committed then is done again by whoever
/// runs next. Returns when that timeout ends, too.
fn supervise(
    workers: Vec<JoinHandle<Result<(), Halt>>>,
    config: &RunConfig,
    kafka: &Kafka,
    telemetry: &Telemetry,
    (shutdown, workers_end): (&Shutdown, &Shutdown),
) -> (Instant, Result<(), Halt>) {
    let mut asked = Instant::now();
    // A demo is there to be read; a host at work goes on without a reader.
    let is_unread = || kafka.demo.is_some() && output::stdout_is_closed();
    let is_over = || shutdown.requested() || workers_end.requested() || is_unread();
    while !is_over() && !workers.iter().all(JoinHandle::is_finished) {
        shutdown.sleep(Duration::from_millis(20));
        if asked.elapsed() >= ASK_OTHERS {
            asked = Instant::now();
            if kafka.is_done(config) {
                break;
            }
        }
    }
    telemetry.health.not_ready("end", "the host is ending: the work in hand is being finished and committed");
    workers_end.request();
    let deadline = Instant::now() + config.drain_timeout;
    while !workers.iter().all(JoinHandle::is_finished) {
        let now = Instant::now();
        if now >= deadline {
            let open: Vec<Activity> =
                (0..).zip(&workers).filter_map(|(number, worker)| still_does(telemetry, number, worker)).collect();
            // Nothing is left to commit, and closing has its own limit.
            if open.iter().all(|activity| matches!(activity, Activity::Leaving | Activity::Failed)) {
                if now < deadline + CLOSING_GRACE {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                if !open.contains(&Activity::Failed) {
                    tracing::warn!("everything is committed; not all connections to Kafka could be closed in time");
                    break;
                }
            }
            let unfinished = Halt::kafka(format!(
                "the work in hand could not be finished within {} (--drain-timeout); it was not committed, so nothing is lost",
                humantime::format_duration(config.drain_timeout)
            ));
            return (deadline, Err(unfinished));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut ended = Ok(());
    for worker in workers.into_iter().filter(JoinHandle::is_finished) {
        let panicked = |_| Err(Halt::internal(&anyhow::anyhow!("a worker panicked; what it said stands above")));
        ended = ended.and(worker.join().unwrap_or_else(panicked));
    }
    (deadline, ended)
}

/// What a worker does that has not ended.
fn still_does(telemetry: &Telemetry, number: usize, worker: &JoinHandle<Result<(), Halt>>) -> Option<Activity> {
    (!worker.is_finished()).then(|| telemetry.workers.worker(number).activity().0)
}

/// Fills a topic with visits until a shutdown, or until there are enough.
///
/// # Errors
/// When Kafka can't be reached, or refuses.
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
    setup.topics([config.topic.as_str()], config.create_topics)?;
    let producer = TopicProducer::new(&settings, &config.topic).map_err(|error| Halt::kafka(error.to_string()))?;
    let mut visits = Generator::new(config.profile.clone());
    let started = Instant::now();
    let mut count = 0;
    while !shutdown.requested() && config.count.is_none_or(|most| count < most) {
        let row = visits.next().expect("the generator never ends");
        producer.send(row.key.as_ref().map(String::as_bytes), row.value.as_bytes(), None, shutdown)?;
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
