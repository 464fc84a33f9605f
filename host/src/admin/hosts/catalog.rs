//! Which host has which pipelines, as the hosts have last answered.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use mapper_api::pipelines::{PipelineSummary, UNREACHABLE};
use mapper_api::status::Rates;
use tokio::task::JoinSet;

use super::super::pipelines::summary;
use super::super::versions::{Failed, failed};
use super::client::{HostClient, HostError, Timeouts};
use crate::pipelines::{Entry, PipelineRegistry};

/// The names of pipelines are asked for again after this time.
const FRESH: Duration = Duration::from_secs(10);

/// The hosts that the console knows.
#[derive(Debug)]
pub(crate) struct Hosts {
    hosts: Vec<Arc<HostClient>>,
    seen: Mutex<Seen>,
    /// One request asks the hosts, others wait for the result.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    /// The last answer of each host.
    hosts: Vec<Known>,
}

#[derive(Debug, Default, Clone)]
struct Known {
    /// The names of its pipelines. They stay while it does not answer.
    pipelines: Vec<String>,
    /// Why it does not answer.
    problem: Option<String>,
}

impl Seen {
    /// The numbers of the hosts that have a pipeline.
    fn hosts_of(&self, pipeline: &str) -> Vec<usize> {
        let has = |known: &Known| known.pipelines.iter().any(|name| name == pipeline);
        self.hosts.iter().enumerate().filter(|(_, known)| has(known)).map(|(number, _)| number).collect()
    }
}

/// What answers about a pipeline: its host, this process, or both, each for its routes.
#[derive(Debug)]
pub(super) struct Target {
    /// The host, and the name of the pipeline there.
    pub(super) host: Option<(Arc<HostClient>, String)>,
    /// Its dead letters in Kafka.
    pub(super) entry: Option<Arc<Entry>>,
}

impl Hosts {
    /// The hosts at these URLs. `token` is for changes; without one, that of the viewer is sent.
    pub(crate) fn new(urls: &[String], token: Option<String>) -> Self {
        Self::with_timeouts(urls, token, Timeouts::default())
    }

    pub(super) fn with_timeouts(urls: &[String], token: Option<String>, timeouts: Timeouts) -> Self {
        let token: Option<Arc<str>> = token.map(Into::into);
        let host = |url: &String| Arc::new(HostClient::new(url.clone(), token.clone(), timeouts));
        let seen = Seen { at: None, hosts: vec![Known::default(); urls.len()] };
        Self { hosts: urls.iter().map(host).collect(), seen: Mutex::new(seen), asking: tokio::sync::Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URL of the host that answers about a pipeline; `None` if it is not known.
    pub(crate) fn url_of(&self, pipeline: &str) -> Option<String> {
        if let Some((host, _)) = self.named(pipeline) {
            return Some(host.url().to_owned());
        }
        match self.seen().hosts_of(pipeline)[..] {
            [number] => Some(self.hosts[number].url().to_owned()),
            _ => None,
        }
    }

    /// The host and the pipeline of a name such as `orders@127.0.0.1:8080`.
    fn named<'n>(&self, name: &'n str) -> Option<(Arc<HostClient>, &'n str)> {
        let (pipeline, authority) = name.rsplit_once('@')?;
        let host = self.hosts.iter().find(|host| host.authority() == authority)?;
        Some((host.clone(), pipeline))
    }

    /// Asks all hosts in parallel, and keeps the names that they answer.
    async fn ask(&self) -> Vec<Result<Vec<PipelineSummary>, HostError>> {
        let mut requests = JoinSet::new();
        for (number, host) in self.hosts.iter().cloned().enumerate() {
            requests.spawn(async move { (number, host.pipelines().await) });
        }
        let mut answers = requests.join_all().await;
        answers.sort_by_key(|(number, _)| *number);
        let answers: Vec<_> = answers.into_iter().map(|(_, answer)| answer).collect();
        let mut seen = self.seen();
        for (known, answer) in seen.hosts.iter_mut().zip(&answers) {
            match answer {
                Ok(pipelines) => {
                    known.pipelines = pipelines.iter().map(|pipeline| pipeline.name.clone()).collect();
                    known.problem = None;
                }
                Err(error) => known.problem = Some(error.to_string()),
            }
        }
        seen.at = Some(Instant::now());
        drop(seen);
        answers
    }

    /// Asks the hosts, unless that was done a short time ago.
    async fn refresh(&self) {
        let _asking = self.asking.lock().await;
        let is_fresh = self.seen().at.is_some_and(|at| at.elapsed() < FRESH);
        if !is_fresh {
            self.ask().await;
        }
    }

    /// All pipelines: those of the hosts, and those that no host has. A name that several hosts have is followed by the host.
    pub(super) async fn summaries(&self, registry: &PipelineRegistry) -> Vec<PipelineSummary> {
        let answers = self.ask().await;
        let mut shown = Vec::new();
        for (host, (number, answer)) in self.hosts.iter().zip(answers.into_iter().enumerate()) {
            match answer {
                Ok(pipelines) => shown.extend(pipelines.into_iter().map(|pipeline| {
                    let name = self.shown_name(host, &pipeline.name);
                    PipelineSummary { name, ..pipeline }
                })),
                Err(error) => {
                    let names = self.seen().hosts[number].pipelines.clone();
                    // A host that has never answered is in the list by its address.
                    let names = if names.is_empty() {
                        vec![host.authority().to_owned()]
                    } else {
                        names.iter().map(|name| self.shown_name(host, name)).collect()
                    };
                    shown.extend(names.into_iter().map(|name| unreachable(name, &error)));
                }
            }
        }
        let known: BTreeSet<String> =
            self.seen().hosts.iter().flat_map(|known| known.pipelines.iter().cloned()).collect();
        shown.extend(registry.all().iter().filter(|entry| !known.contains(entry.name())).map(|entry| summary(entry)));
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        shown
    }

    fn shown_name(&self, host: &HostClient, pipeline: &str) -> String {
        let is_only = self.seen().hosts_of(pipeline).len() <= 1;
        if is_only { pipeline.to_owned() } else { format!("{pipeline}@{}", host.authority()) }
    }

    /// What answers about the pipeline of this name.
    ///
    /// # Errors
    /// If there is no such pipeline, or several hosts have it.
    pub(super) async fn find(&self, registry: &PipelineRegistry, name: &str) -> Result<Target, Failed> {
        if let Some((host, pipeline)) = self.named(name) {
            return Ok(Target { host: Some((host, pipeline.to_owned())), entry: registry.get(pipeline) });
        }
        self.refresh().await;
        let (entry, seen) = (registry.get(name), self.seen());
        match (&seen.hosts_of(name)[..], entry) {
            ([number], entry) => Ok(Target { host: Some((self.hosts[*number].clone(), name.to_owned())), entry }),
            ([], Some(entry)) => Ok(Target { host: None, entry: Some(entry) }),
            ([], None) => Err(self.not_found(registry, name, &seen)),
            (several, _) => {
                let names = several.iter().map(|number| format!("{name}@{}", self.hosts[*number].authority()));
                let why = format!(
                    "several hosts run the pipeline {name:?}. Name the host with it: {}",
                    names.collect::<Vec<_>>().join(", ")
                );
                Err(failed(StatusCode::CONFLICT, why))
            }
        }
    }

    fn not_found(&self, registry: &PipelineRegistry, name: &str, seen: &Seen) -> Failed {
        let by_address = self.hosts.iter().position(|host| host.authority() == name);
        if let Some(problem) = by_address.and_then(|number| seen.hosts[number].problem.clone()) {
            return failed(StatusCode::BAD_GATEWAY, problem);
        }
        let names = seen.hosts.iter().flat_map(|known| known.pipelines.iter().cloned());
        let mut names: Vec<String> = names.chain(registry.all().iter().map(|entry| entry.name().to_owned())).collect();
        names.sort();
        names.dedup();
        let problems: String = seen
            .hosts
            .iter()
            .filter_map(|known| known.problem.as_ref())
            .map(|problem| format!(". Also, {problem}"))
            .collect();
        let why = format!("there is no pipeline {name:?} here. Its pipelines are: {}{problems}", names.join(", "));
        failed(StatusCode::NOT_FOUND, why)
    }
}

fn unreachable(name: String, error: &HostError) -> PipelineSummary {
    PipelineSummary {
        name,
        state: UNREACHABLE.to_owned(),
        generation: 0,
        ready: false,
        not_ready: vec![error.to_string()],
        plugin: None,
        group: String::new(),
        input_topic: String::new(),
        records_in: 0,
        dead_letters: 0,
        lag: 0,
        rates: Rates {
            records_in_per_second: 0.0,
            records_out_per_second: 0.0,
            dead_letters_per_second: 0.0,
            over_seconds: 0.0,
        },
        partitions: 0,
        open_breakers: 0,
        mapping_p99_ms: None,
        last_hour: Vec::new(),
    }
}
