//! Implements the pipeline's `Mapper` for a plugin. A guest failure costs one record at most.
//!
//! Guest state from earlier records can cause a trap, a timeout or invalid output. So the mapper locates the failed record and maps
//! it again on a fresh instance. Only a failure on a fresh instance becomes the verdict of the record.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::instance::{CallFailure, FailureCause, Instance};
use super::load::Plugin;
use mapper_core::record::Batch;
use mapper_core::verdict::{Columns, Failure, Verdicts};
use mapper_pipeline::contracts::Mapper;
use mapper_pipeline::guest::{GuestObserver, Renewal};

/// Records between two progress reports of a guest. A report per record would cost a tenth of the mapping time.
const STRIDE: u32 = 32;
/// After a failure, the next records are mapped in small calls with a progress report per record. Failures often cluster, and
/// each failure repeats its whole call.
const SMALL_CALL_RECORDS: usize = 1000;
/// Attempts to create an instance before its records fail.
const INSTANCE_ATTEMPTS: usize = 3;

/// Maps batches with one instance of a plugin at a time.
pub struct PluginMapper {
    plugin: Arc<Plugin>,
    instance: Option<Instance>,
    /// Remaining records to map in small calls.
    small_call_records: usize,
    observer: Option<Arc<dyn GuestObserver>>,
    /// The last lines of the guest about the last record, if they are wanted.
    output: Option<String>,
}

/// An entry of the task stack for a batch.
enum Task {
    Map {
        records: Range<usize>,
        trust: Trust,
    },
    /// Appends the known outcome of the next record.
    Append(Outcome),
}

/// Whether the mapper uses the guest's progress report to locate a failed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Trusted,
    /// An earlier report named a record that did not fail.
    Suspect,
}

enum Outcome {
    Columns(Box<Columns>),
    Failed(Failure<'static>),
}

impl PluginMapper {
    /// Creates the instance with the first batch.
    pub fn new(plugin: Arc<Plugin>) -> Self {
        Self { plugin, instance: None, small_call_records: 0, observer: None, output: None }
    }

    /// Creates the instance now, so that the first batch doesn't wait for it.
    ///
    /// # Errors
    /// The instance can't be created.
    pub fn prepared(plugin: Arc<Plugin>) -> Result<Self, Failure<'static>> {
        let instance = Some(Instance::new(&plugin)?);
        Ok(Self { instance, ..Self::new(plugin) })
    }

    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn GuestObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Keeps what the guest writes, for [`PluginMapper::output`].
    #[must_use]
    pub fn keeping_output(mut self) -> Self {
        self.output = Some(String::new());
        self
    }

    /// The last lines that the guest has written about the last record, if its call succeeded. A failure has its own.
    pub fn output(&self) -> &str {
        self.output.as_deref().unwrap_or_default()
    }

    fn renew(&mut self, reason: Renewal) {
        self.instance = None;
        if let Some(observer) = &self.observer {
            observer.renewed(reason);
        }
    }

    /// The number of records for the next call.
    fn call_size(&self, records: usize) -> usize {
        if self.plugin.engine.grants.deterministic {
            // The outputs of a record must not depend on other records in the same call.
            return 1;
        }
        let records = if self.small_call_records > 0 { records.min(STRIDE as usize) } else { records };
        let used = self.instance.as_ref().map_or(0, Instance::records);
        self.plugin
            .engine
            .limits
            .recycle_after
            .map_or(records, |limit| records.min(limit.get().saturating_sub(used).max(1)))
    }

    fn renew_if_due(&mut self) {
        let Some(instance) = &self.instance else { return };
        let limit = self.plugin.engine.limits.recycle_after;
        if limit.is_some_and(|limit| instance.records() >= limit.get()) {
            self.renew(Renewal::Count);
        } else if instance.is_full() {
            self.renew(Renewal::Memory);
        }
    }

    /// Maps the first records of a batch with one call.
    fn call(&mut self, batch: &Batch) -> Result<Columns, Box<CallFailure>> {
        let poll_every_record = batch.len() <= STRIDE as usize || self.plugin.poll_every_record.load(Ordering::Relaxed);
        if self.instance.is_none() {
            let no_instance = |failure| {
                Box::new(CallFailure { completed: Columns::default(), cause: FailureCause::NoInstance(failure) })
            };
            self.instance = Some(self.create_instance().map_err(no_instance)?);
        }
        let instance = self.instance.as_mut().expect("created above");
        let result = instance.map(batch, if poll_every_record { 1 } else { STRIDE });
        match &result {
            Ok(columns) => {
                if let Some(output) = &mut self.output {
                    *output = instance.take_output();
                }
                self.small_call_records = self.small_call_records.saturating_sub(columns.statuses.len());
                self.renew_if_due();
            }
            Err(failure) if matches!(failure.cause, FailureCause::MemoryExhausted) => self.renew(Renewal::Memory),
            Err(_) => {
                self.small_call_records = SMALL_CALL_RECORDS;
                self.renew(Renewal::Failure);
            }
        }
        result
    }

    fn create_instance(&self) -> Result<Instance, Failure<'static>> {
        let mut instance = Instance::new(&self.plugin);
        for _ in 1..INSTANCE_ATTEMPTS {
            if instance.is_err() {
                instance = Instance::new(&self.plugin);
            }
        }
        instance
    }

    /// The tasks for the records of `range`, which have no verdict after a failure. The last task comes first.
    fn plan_retry(&mut self, cause: FailureCause, batch: &Batch, range: Range<usize>, trust: Trust) -> Vec<Task> {
        let map = |records: Range<usize>, trust| Task::Map { records, trust };
        let (start, end) = (range.start, range.end);
        match cause {
            FailureCause::Record(failure) => {
                vec![map(start + 1..end, trust), Task::Append(Outcome::Failed(failure))]
            }
            FailureCause::NoInstance(failure) => {
                range.map(|_| Task::Append(Outcome::Failed(failure.clone()))).collect()
            }
            FailureCause::MemoryExhausted => vec![map(range, trust)],
            FailureCause::NotPolled => {
                self.plugin.poll_every_record.store(true, Ordering::Relaxed);
                vec![map(range, trust)]
            }
            // The failure replaced the instance, so this record is the first one of a fresh instance.
            FailureCause::Reported { .. } | FailureCause::Unknown if range.len() == 1 => vec![map(range, trust)],
            FailureCause::Reported { index, candidates: 1 } if trust == Trust::Trusted => {
                let at = start + index;
                let outcome = match self.call(&batch.slice(at..at + 1)) {
                    Ok(columns) => Outcome::Columns(Box::new(columns)),
                    Err(failure) => match failure.cause {
                        FailureCause::Record(failure) | FailureCause::NoInstance(failure) => Outcome::Failed(failure),
                        _ => {
                            return vec![map(at + 1..end, trust), map(at..at + 1, trust), map(start..at, trust)];
                        }
                    },
                };
                let trust = if let Outcome::Failed(_) = outcome { trust } else { Trust::Suspect };
                vec![map(at + 1..end, trust), Task::Append(outcome), map(start..at, trust)]
            }
            FailureCause::Reported { index, candidates } if trust == Trust::Trusted => {
                let (first, last) = (start + index, (start + index + candidates).min(end));
                vec![map(last..end, trust), map(first..last, trust), map(start..first, trust)]
            }
            FailureCause::Reported { .. } | FailureCause::Unknown => {
                let middle = start + range.len() / 2;
                vec![map(middle..end, trust), map(start..middle, trust)]
            }
        }
    }

    /// Stops after the first failed record; outcomes of later records are discarded. Also stops when the outputs reach the output
    /// limit of one call, so that splitting a batch doesn't raise the memory of the host.
    fn map_to_first_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        let limit = self.plugin.engine.limits.output_bytes;
        let mut bytes = 0;
        let mut tasks = vec![Task::Map { records, trust: Trust::Trusted }];
        while let Some(task) = tasks.pop() {
            let (records, trust) = match task {
                Task::Append(Outcome::Columns(columns)) => {
                    verdicts.push_columns(*columns);
                    continue;
                }
                Task::Append(Outcome::Failed(failure)) => return verdicts.push_failure(failure),
                Task::Map { records, .. } if records.is_empty() => continue,
                Task::Map { records, trust } => (records, trust),
            };
            // A call has the records of one topic.
            let run = batch.run_of_one_topic(records.clone());
            let piece = run.start..run.start + self.call_size(run.len());
            let result =
                if piece.len() == batch.len() { self.call(batch) } else { self.call(&batch.slice(piece.clone())) };
            let (columns, cause) = match result {
                Ok(columns) => (columns, None),
                Err(failure) => (failure.completed, Some(failure.cause)),
            };
            let completed = columns.statuses.len();
            if completed > 0 {
                bytes += columns.bytes();
                verdicts.push_columns(columns);
                if bytes >= limit {
                    return;
                }
            }
            if piece.end < records.end {
                tasks.push(Task::Map { records: piece.end..records.end, trust });
            }
            let rest = piece.start + completed..piece.end;
            match cause.map(|cause| cause.skip_completed(completed)) {
                Some(cause) => tasks.extend(self.plan_retry(cause, batch, rest, trust)),
                None if !rest.is_empty() => tasks.push(Task::Map { records: rest, trust }),
                None => {}
            }
        }
    }
}

impl Mapper for PluginMapper {
    fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        self.map_to_first_failure(batch, records, verdicts);
        if let Some(observer) = &self.observer {
            observer.set_memory(self.instance.as_ref().map_or(0, Instance::memory_bytes) as u64);
        }
    }
}
