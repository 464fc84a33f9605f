//! A plugin as the pipeline's mapper: whatever the guest does costs at most the record it does it with.
//!
//! A trap, a timeout or a broken rule counts only where it happens on an instance that has seen no other record: only then
//! it can't be the doing of a record before. So what failed is found, and taken again alone.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::instance::{Failed, Instance, Why};
use super::load::Plugin;
use mapper_core::record::Batch;
use mapper_core::verdict::{Columns, Failure, Verdicts};
use mapper_pipeline::contracts::Mapper;
use mapper_pipeline::guest::{GuestObserver, Renewal};

/// How many records a guest may map before it says where it is: asking for each would cost a tenth of its time.
const STRIDE: u32 = 32;
/// After a failure so many records are taken a few at a time, and the guest is asked at each of them where it is: where one
/// fails there are often more, and each makes all that were taken with it be taken again.
const WARY_RECORDS: usize = 1000;
/// How often an instance is tried to be made before the records that it is for are given up.
const ATTEMPTS: usize = 3;

/// Maps batches with instances of one plugin, of which there is one at a time.
pub struct PluginMapper {
    plugin: Arc<Plugin>,
    instance: Option<Instance>,
    /// The records left to be taken a few at a time.
    wary: usize,
    observer: Option<Arc<dyn GuestObserver>>,
}

/// What is left to be done of a batch, the next last.
enum Task {
    /// These records are to be mapped.
    Map { records: Range<usize>, belief: Belief },
    /// This was found out already of the record that is next.
    Put(Judged),
}

/// Whether the guest's word is taken for where it was when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belief {
    Believed,
    /// It was wrong before.
    Doubted,
}

enum Judged {
    Columns(Box<Columns>),
    Failed(Failure<'static>),
}

impl PluginMapper {
    /// A mapper; its instance is made with the first batch.
    pub fn new(plugin: Arc<Plugin>) -> Self {
        Self { plugin, instance: None, wary: 0, observer: None }
    }

    /// A mapper with its instance, so that its first batch waits for nothing.
    ///
    /// # Errors
    /// When no instance can be made.
    pub fn prepared(plugin: Arc<Plugin>) -> Result<Self, Failure<'static>> {
        let instance = Some(Instance::new(&plugin)?);
        Ok(Self { instance, ..Self::new(plugin) })
    }

    /// The same, which reports what it does with its guests.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn GuestObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    fn renew(&mut self, reason: Renewal) {
        self.instance = None;
        if let Some(observer) = &self.observer {
            observer.renewed(reason);
        }
    }

    /// How many of the next records may be taken in one call.
    fn most(&self, records: usize) -> usize {
        if self.plugin.engine.grants.deterministic {
            // What is in the same call must not make a difference.
            return 1;
        }
        let records = if self.wary > 0 { records.min(STRIDE as usize) } else { records };
        let used = self.instance.as_ref().map_or(0, Instance::records);
        self.plugin
            .engine
            .limits
            .recycle_after
            .map_or(records, |most| records.min(most.get().saturating_sub(used).max(1)))
    }

    /// Renews an instance that has done its part, between two calls.
    fn renew_if_due(&mut self) {
        let Some(instance) = &self.instance else { return };
        let most = self.plugin.engine.limits.recycle_after;
        if most.is_some_and(|most| instance.records() >= most.get()) {
            self.renew(Renewal::Count);
        } else if instance.is_full() {
            self.renew(Renewal::Memory);
        }
    }

    /// Maps the first records of a batch, as many as come out of one call.
    fn call(&mut self, batch: &Batch) -> Result<Columns, Box<Failed>> {
        let exactly = batch.len() <= STRIDE as usize || self.plugin.exactly.load(Ordering::Relaxed);
        if self.instance.is_none() {
            let no_instance = |failure| Box::new(Failed { before: Columns::default(), why: Why::NoInstance(failure) });
            self.instance = Some(self.make().map_err(no_instance)?);
        }
        let instance = self.instance.as_mut().expect("made above");
        let result = instance.map(batch, if exactly { 1 } else { STRIDE });
        match &result {
            Ok(columns) => {
                self.wary = self.wary.saturating_sub(columns.statuses.len());
                self.renew_if_due();
            }
            Err(failed) if matches!(failed.why, Why::UsedUp) => self.renew(Renewal::Memory),
            Err(_) => {
                self.wary = WARY_RECORDS;
                self.renew(Renewal::Failure);
            }
        }
        result
    }

    fn make(&self) -> Result<Instance, Failure<'static>> {
        let mut made = Instance::new(&self.plugin);
        for _ in 1..ATTEMPTS {
            if made.is_err() {
                made = Instance::new(&self.plugin);
            }
        }
        made
    }

    /// What is to be done about the records of `range` that have no verdict yet, the last of it first.
    fn after(&mut self, failed: Why, batch: &Batch, range: Range<usize>, belief: Belief) -> Vec<Task> {
        let again = |records: Range<usize>, belief| Task::Map { records, belief };
        let (start, end) = (range.start, range.end);
        match failed {
            Why::Record(failure) => vec![again(start + 1..end, belief), Task::Put(Judged::Failed(failure))],
            Why::NoInstance(failure) => range.map(|_| Task::Put(Judged::Failed(failure.clone()))).collect(),
            Why::UsedUp => vec![again(range, belief)],
            Why::NotAsked => {
                self.plugin.exactly.store(true, Ordering::Relaxed);
                vec![again(range, belief)]
            }
            // The instance is a new one, so that this record is the first it sees.
            Why::At { .. } | Why::Somewhere if range.len() == 1 => vec![again(range, belief)],
            Why::At { index, among: 1 } if belief == Belief::Believed => {
                let at = start + index;
                let judged = match self.call(&batch.slice(at..at + 1)) {
                    Ok(columns) => Judged::Columns(Box::new(columns)),
                    Err(failed) => match failed.why {
                        Why::Record(failure) | Why::NoInstance(failure) => Judged::Failed(failure),
                        _ => {
                            return vec![
                                again(at + 1..end, belief),
                                again(at..at + 1, belief),
                                again(start..at, belief),
                            ];
                        }
                    },
                };
                let belief = if let Judged::Failed(_) = judged { belief } else { Belief::Doubted };
                vec![again(at + 1..end, belief), Task::Put(judged), again(start..at, belief)]
            }
            Why::At { index, among } if belief == Belief::Believed => {
                let (first, last) = (start + index, (start + index + among).min(end));
                vec![again(last..end, belief), again(first..last, belief), again(start..first, belief)]
            }
            Why::At { .. } | Why::Somewhere => {
                let middle = start + range.len() / 2;
                vec![again(middle..end, belief), again(start..middle, belief)]
            }
        }
    }

    /// Up to and including the first record that failed: what was found out of later ones is found out again. Or until the
    /// outputs are as many as a call may return, so that no batch, however it is taken apart, makes the host hold more.
    fn judge(&mut self, batch: &Batch, verdicts: &mut Verdicts) {
        let most = self.plugin.engine.limits.output_bytes;
        let mut bytes = 0;
        let mut tasks = vec![Task::Map { records: 0..batch.len(), belief: Belief::Believed }];
        while let Some(task) = tasks.pop() {
            let (records, belief) = match task {
                Task::Put(Judged::Columns(columns)) => {
                    verdicts.push_columns(*columns);
                    continue;
                }
                Task::Put(Judged::Failed(failure)) => return verdicts.push_failure(failure),
                Task::Map { records, .. } if records.is_empty() => continue,
                Task::Map { records, belief } => (records, belief),
            };
            let piece = records.start..records.start + self.most(records.len());
            let result =
                if piece.len() == batch.len() { self.call(batch) } else { self.call(&batch.slice(piece.clone())) };
            let (columns, why) = match result {
                Ok(columns) => (columns, None),
                Err(failed) => (failed.before, Some(failed.why)),
            };
            let judged = columns.statuses.len();
            if judged > 0 {
                bytes += columns.bytes();
                verdicts.push_columns(columns);
                if bytes >= most {
                    return;
                }
            }
            if piece.end < records.end {
                tasks.push(Task::Map { records: piece.end..records.end, belief });
            }
            let rest = piece.start + judged..piece.end;
            match why.map(|why| why.after_first(judged)) {
                Some(why) => tasks.extend(self.after(why, batch, rest, belief)),
                None if !rest.is_empty() => tasks.push(Task::Map { records: rest, belief }),
                None => {}
            }
        }
    }
}

impl Mapper for PluginMapper {
    fn map_until_failure(&mut self, batch: &Batch, verdicts: &mut Verdicts) {
        self.judge(batch, verdicts);
        if let Some(observer) = &self.observer {
            observer.set_memory(self.instance.as_ref().map_or(0, Instance::memory) as u64);
        }
    }
}
