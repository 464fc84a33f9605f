//! A shadow: a candidate maps live records beside the active version. It only counts differences and produces no output.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::history::Version;
use super::outcome::{describe_both, excerpt, outcomes};
use super::priority;
use super::slot::Slot;
use super::tap::{Judgement, MAX_QUEUED_BATCHES, Tap};
use super::tryout::{Compared, compare, describe_position};
use mapper_api::versions::{Difference, ShadowStatus};
use mapper_core::decision::Routes;
use mapper_core::verdict::Verdicts;
use mapper_pipeline::contracts::Mapper;

/// The most differences in the status.
const MAX_DIFFERENCES: usize = 20;
/// The interval in which the thread checks the stop flag.
const STOP_CHECK: Duration = Duration::from_millis(200);

/// A handle to the status of a shadow.
#[derive(Clone)]
pub struct View {
    status: Arc<Mutex<ShadowStatus>>,
    unseen: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl View {
    pub fn status(&self) -> ShadowStatus {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if status.running {
            status.unseen = (self.unseen)();
        }
        status
    }
}

pub struct Shadow {
    view: View,
    stop: Arc<AtomicBool>,
    close: Box<dyn Fn() + Send>,
    /// Returns the number of received records that it did not map.
    thread: JoinHandle<u64>,
}

impl Shadow {
    /// Starts a thread that maps the records that the workers judge from now on.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start<M: Mapper + Send + 'static>(
        mapper: M,
        version: Version,
        against: Version,
        routes: Arc<Routes>,
        slot: Arc<Slot<M>>,
    ) -> std::io::Result<Self> {
        let status = Arc::new(Mutex::new(ShadowStatus {
            version,
            against,
            since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            running: true,
            ended: None,
            seen: 0,
            unseen: 0,
            same: 0,
            different: 0,
            broken: 0,
            fixed: 0,
            failing: Default::default(),
            differences: Vec::new(),
        }));
        let (sender, receiver) = sync_channel(MAX_QUEUED_BATCHES);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("shadow".into()).spawn({
            let (status, stop, slot) = (status.clone(), stop.clone(), slot.clone());
            move || map_judgements(mapper, (&receiver, &slot.tap), &routes, &status, &stop)
        })?;
        slot.tap.open(sender);
        let unseen = Arc::new({
            let slot = slot.clone();
            move || slot.tap.missed_records()
        });
        let close = Box::new(move || slot.tap.close());
        Ok(Self { view: View { status, unseen }, stop, close, thread })
    }

    pub fn view(&self) -> View {
        self.view.clone()
    }

    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    pub fn stop(self, reason: &str) {
        (self.close)();
        self.stop.store(true, Ordering::Relaxed);
        let left = self.thread.join();
        let mut status = self.view.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.running = false;
        status.unseen = (self.view.unseen)() + left.as_ref().map_or(0, |left| *left);
        status.ended = Some(if left.is_ok() {
            reason.to_owned()
        } else {
            "the shadow thread panicked; see the log of the host".to_owned()
        });
    }
}

fn map_judgements(
    mut mapper: impl Mapper,
    (receiver, tap): (&Receiver<Judgement>, &Tap),
    routes: &Routes,
    status: &Mutex<ShadowStatus>,
    stop: &AtomicBool,
) -> u64 {
    priority::lower_current_thread();
    let mut verdicts = Verdicts::default();
    while !stop.load(Ordering::Relaxed) {
        let judgement = match receiver.recv_timeout(STOP_CHECK) {
            Ok(judgement) => judgement,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        tap.record_received();
        verdicts.clear();
        let records = judgement.batch.len();
        // A candidate can be slow on every record; so the flag is checked after each call.
        while verdicts.len() < records && !stop.load(Ordering::Relaxed) {
            mapper.map_until_failure(&judgement.batch, verdicts.len()..records, &mut verdicts);
        }
        let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
        compare_batch(&mut status, &judgement, &verdicts, routes);
        drop(status);
        if verdicts.len() < records {
            return (records - verdicts.len()) as u64 + count_queued(receiver);
        }
    }
    count_queued(receiver)
}

/// Counts the records in the queue.
fn count_queued(receiver: &Receiver<Judgement>) -> u64 {
    receiver.try_iter().map(|judgement| judgement.batch.len() as u64).sum()
}

fn compare_batch(status: &mut ShadowStatus, judgement: &Judgement, verdicts: &Verdicts, routes: &Routes) {
    let Judgement { batch, verdicts: active } = judgement;
    let (old, new) = (outcomes(batch, active, routes), outcomes(batch, verdicts, routes));
    for ((record, old), new) in batch.records().zip(old).zip(new) {
        status.seen += 1;
        if let Some(kind) = new.failure() {
            *status.failing.entry(kind.name().to_owned()).or_default() += 1;
        }
        match compare(&old, &new) {
            Compared::Same => {
                status.same += 1;
                continue;
            }
            Compared::Different => {}
            Compared::Fixed => status.fixed += 1,
            Compared::Broken | Compared::Crash => status.broken += 1,
        }
        status.different += 1;
        if status.differences.len() < MAX_DIFFERENCES {
            let [old, new] = describe_both(&old, &new, routes);
            let input = excerpt(record.value());
            status.differences.push(Difference { record: describe_position(record), input, old, new });
        }
    }
}
