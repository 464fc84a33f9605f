//! Posts new and regressed groups of failures to the URL of `--alert-webhook`. A thread of its own sends them, so that no worker waits.

mod pending;
mod receiver;
#[cfg(test)]
mod tests;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::config::WebhookUrl;
use crate::pipelines::PipelineRegistry;
use mapper_api::alerts::{ALERT_VERSION, AlertExample, AlertGroup, AlertPost, AlertState};
use mapper_core::shutdown::Shutdown;
use mapper_state::claim::host_name;
use mapper_telemetry::Role;
use mapper_telemetry::alerts::{AlertCounts, AlertOrigin, AlertQueue, AlertReason, GroupAlert};
use pending::{Added, Pending};
use receiver::{Answer, Receiver};

/// The thread that sends alerts, for the panics of threads.
const THREAD: &str = "alerts";
/// The time limit of a post.
const POST_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit of the last post, and the longest time that the end of the process waits for it.
const LAST_POST: Duration = Duration::from_secs(2);
/// The interval of checks for the end of the process.
const POLL: Duration = Duration::from_millis(100);

/// The thread that sends alerts.
pub(crate) struct Alerts {
    end: Shutdown,
    /// It has a message, or no sender, when the thread has ended.
    ended: mpsc::Receiver<()>,
}

impl Alerts {
    /// Starts the thread. Groups of failures come through the queue.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(url: &WebhookUrl, registry: &Arc<PipelineRegistry>) -> io::Result<(Self, AlertQueue)> {
        let (queue, alerts) = AlertQueue::new(registry.alerts.clone());
        let (ends, ended) = mpsc::channel();
        let end = Shutdown::default();
        let sender = Sender {
            url: url.to_string(),
            receiver: Receiver::new(url.clone()),
            counts: registry.alerts.clone(),
            is_failing: false,
        };
        let (sent_until, registry) = (end.clone(), registry.clone());
        std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| sender.run(&alerts, &sent_until))).is_err() {
                registry.threads.panicked(THREAD, Role::Watcher);
                tracing::error!(
                    thread = THREAD,
                    "a thread panicked; the host continues without it, see the error before"
                );
            }
            // It fails if nobody waits any more.
            let _ = ends.send(());
        })?;
        Ok((Self { end, ended }, queue))
    }

    /// Sends the last groups, within a time limit.
    pub(crate) fn finish(self) {
        self.end.request();
        if self.ended.recv_timeout(LAST_POST + POLL) == Err(RecvTimeoutError::Timeout) {
            tracing::debug!("the alert webhook did not answer the last post in time");
        }
    }
}

struct Sender {
    /// The URL without its secrets.
    url: String,
    receiver: Receiver,
    counts: Arc<AlertCounts>,
    is_failing: bool,
}

impl Sender {
    /// Sends posts until the end of the process.
    fn run(mut self, alerts: &mpsc::Receiver<GroupAlert>, end: &Shutdown) {
        let mut pending = Pending::default();
        loop {
            let wait = pending.wait(Instant::now()).map_or(POLL, |wait| wait.min(POLL));
            if let Ok(alert) = alerts.recv_timeout(wait) {
                self.add(&mut pending, alert);
            }
            if end.requested() {
                alerts.try_iter().for_each(|alert| self.add(&mut pending, alert));
                if !pending.groups().is_empty() {
                    self.post(&mut pending, LAST_POST);
                }
                return self.counts.count_dropped(pending.dropped());
            }
            if pending.wait(Instant::now()).is_some_and(|wait| wait.is_zero()) {
                self.post(&mut pending, POST_TIMEOUT);
            }
        }
    }

    fn add(&self, pending: &mut Pending, alert: GroupAlert) {
        if pending.add(view(alert), Instant::now()) == Added::Dropped {
            self.counts.count_dropped(1);
        }
    }

    fn post(&mut self, pending: &mut Pending, timeout: Duration) {
        let answer = match serde_json::to_string(&self.body(pending.groups())) {
            Ok(json) => self.receiver.post(&json, timeout),
            Err(error) => Answer::Rejected(error.to_string()),
        };
        let (url, groups, now) = (&self.url, pending.groups().len(), Instant::now());
        match answer {
            Answer::Accepted => {
                self.counts.count_post();
                pending.accepted(now);
                tracing::info!(url, groups, "posted groups of failures to the alert webhook");
            }
            Answer::Failed(error) => {
                self.counts.count_failed_post();
                let wait = humantime::format_duration(pending.failed(now)).to_string();
                if self.is_failing {
                    tracing::debug!(url, groups, error, wait, "failed to post to the alert webhook again");
                } else {
                    tracing::warn!(
                        url,
                        groups,
                        error,
                        wait,
                        "failed to post to the alert webhook; the post is repeated"
                    );
                }
            }
            Answer::Rejected(error) => {
                self.counts.count_failed_post();
                self.counts.count_dropped(pending.dropped());
                tracing::warn!(
                    url,
                    groups,
                    error,
                    "the alert webhook rejected a post; its groups are dropped. Check --alert-webhook"
                );
            }
        }
        self.is_failing = !pending.groups().is_empty();
    }

    fn body(&self, groups: &[AlertGroup]) -> AlertPost {
        AlertPost {
            version: ALERT_VERSION,
            host: host_name(),
            sent_at: time(Utc::now()),
            groups: groups.to_vec(),
            dropped: self.counts.dropped(),
        }
    }
}

/// The group for a post.
fn view(alert: GroupAlert) -> AlertGroup {
    let GroupAlert { reason, origin, fingerprint, kind, count, first_seen, last_seen, example } = alert;
    let AlertOrigin { pipeline, dead_letter_topic, plugin } = origin;
    AlertGroup {
        state: match reason {
            AlertReason::New => AlertState::New,
            AlertReason::Regressed => AlertState::Regressed,
        },
        pipeline,
        dead_letter_topic,
        plugin,
        fingerprint,
        kind,
        count,
        first_seen: time(first_seen),
        last_seen: time(last_seen),
        example: AlertExample {
            topic: example.topic,
            partition: example.partition,
            offset: example.offset,
            message: example.message,
        },
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
