//! A shadow: a candidate maps live records beside the version that speaks. Nothing comes of it but counts and samples.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::history::Version;
use super::outcome::{outcomes, shown, told_apart};
use super::priority;
use super::report::{Difference, ShadowStatus};
use super::slot::Slot;
use super::tap::{Judgement, Tap, WAITING_BATCHES};
use super::tryout::{Compared, compare, place};
use mapper_core::decision::Routes;
use mapper_core::verdict::Verdicts;
use mapper_pipeline::contracts::Mapper;

/// How many records that differ are shown.
const SHOWN: usize = 20;
/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// What a shadow has seen, for whoever asks.
#[derive(Clone)]
pub struct View {
    status: Arc<Mutex<ShadowStatus>>,
    unseen: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl View {
    /// As of now.
    pub fn status(&self) -> ShadowStatus {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if status.running {
            status.unseen = (self.unseen)();
        }
        status
    }
}

/// A running shadow.
pub struct Shadow {
    view: View,
    stop: Arc<AtomicBool>,
    close: Box<dyn Fn() + Send>,
    /// Returns how many records it was given and left alone.
    thread: JoinHandle<u64>,
}

impl Shadow {
    /// Starts to map what the workers judge from now on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start<M: Mapper + Send + 'static>(
        mapper: M,
        (version, against): (Version, Version),
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
        let (sender, receiver) = sync_channel(WAITING_BATCHES);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("shadow".into()).spawn({
            let (status, stop, slot) = (status.clone(), stop.clone(), slot.clone());
            move || follow(mapper, (&receiver, &slot.tap), &routes, &status, &stop)
        })?;
        slot.tap.open(sender);
        let unseen = Arc::new({
            let slot = slot.clone();
            move || slot.tap.unseen()
        });
        let close = Box::new(move || slot.tap.close());
        Ok(Self { view: View { status, unseen }, stop, close, thread })
    }

    /// For whoever asks what it has seen.
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Whether its thread still runs.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends it, for this reason.
    pub fn stop(self, why: &str) {
        (self.close)();
        self.stop.store(true, Ordering::Relaxed);
        let left = self.thread.join();
        let mut status = self.view.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.running = false;
        status.unseen = (self.view.unseen)() + left.as_ref().map_or(0, |left| *left);
        status.ended =
            Some(if left.is_ok() { why.to_owned() } else { "an error of the host; the log has it".to_owned() });
    }
}

fn follow(
    mut mapper: impl Mapper,
    (receiver, tap): (&Receiver<Judgement>, &Tap),
    routes: &Routes,
    status: &Mutex<ShadowStatus>,
    stop: &AtomicBool,
) -> u64 {
    priority::lower();
    let mut verdicts = Verdicts::default();
    while !stop.load(Ordering::Relaxed) {
        let judgement = match receiver.recv_timeout(LOOK) {
            Ok(judgement) => judgement,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        tap.received();
        verdicts.clear();
        let records = judgement.batch.len();
        // A candidate may be slow on every record, and yet it ends when it is to.
        while verdicts.len() < records && !stop.load(Ordering::Relaxed) {
            mapper.map_until_failure(&judgement.batch.slice(verdicts.len()..records), &mut verdicts);
        }
        let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
        take_in(&mut status, &judgement, &verdicts, routes);
        drop(status);
        if verdicts.len() < records {
            return (records - verdicts.len()) as u64 + left(receiver);
        }
    }
    left(receiver)
}

/// What was given and not taken.
fn left(receiver: &Receiver<Judgement>) -> u64 {
    receiver.try_iter().map(|judgement| judgement.batch.len() as u64).sum()
}

fn take_in(status: &mut ShadowStatus, judgement: &Judgement, verdicts: &Verdicts, routes: &Routes) {
    let Judgement { batch, verdicts: spoken } = judgement;
    let (old, new) = (outcomes(batch, spoken, routes), outcomes(batch, verdicts, routes));
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
        if status.differences.len() < SHOWN {
            let [old, new] = told_apart(&old, &new, routes);
            let input = shown(record.value());
            status.differences.push(Difference { record: place(record), input, old, new });
        }
    }
}
