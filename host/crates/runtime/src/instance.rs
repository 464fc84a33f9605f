//! One instance of a guest: its store, and the calls of its exports.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::Engine;
use super::bindings::batch_world::mapper_host::mapper::{logging, progress};
use super::bindings::{batch_world, record_world};
use super::convert;
use super::deadline::Deadline;
use super::deadline_poll::DeadlinePoll;
use super::failure::{self, FailureDescriber};
use super::grants::Seed;
use super::guest_log::{GuestLog, PositionUncertain, Stream};
use super::limits::Limiter;
use super::load::{Plugin, Prepared};
use super::open_files::{Files, OpenFiles};
use mapper_core::record::{Batch, Record};
use mapper_core::verdict::{Columns, Failure, FailureKind};

/// Some language runtimes never free memory. So the host replaces an instance that has used this share of the memory between its
/// base and the limit.
const FULL_PERCENT: usize = 75;
/// Open resource handles per guest, such as streams and pollables.
const MAX_HANDLES: usize = 10_000;

pub(super) struct GuestState {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
    log: GuestLog,
    deadline: Deadline,
    open_files: OpenFiles,
    seed: Seed,
}

impl GuestState {
    pub(super) fn deadline_poll(&mut self) -> DeadlinePoll<'_> {
        DeadlinePoll { table: &mut self.table, deadline: &self.deadline }
    }

    pub(super) fn files(&mut self) -> Files<'_> {
        let wasi = WasiFilesystemCtxView { ctx: self.wasi.filesystem(), table: &mut self.table };
        Files { wasi, open: &mut self.open_files, log: &self.log }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl logging::Host for GuestState {
    fn log(&mut self, level: logging::Level, message: String) -> wasmtime::Result<()> {
        Ok(self.log.log_line(level, &message)?)
    }
}

impl progress::Host for GuestState {
    fn at(&mut self, index: u32) -> u32 {
        self.deadline.report_progress(index);
        self.log.report_progress(index)
    }
}

enum Exports {
    Batch(batch_world::MapperBatch),
    Record(record_world::Mapper),
}

/// A configured instance. After a failed call it must not be called again: wasmtime can't reenter a guest after a trap, and a
/// guest that broke the contract may be in an invalid state.
pub(super) struct Instance {
    store: Store<GuestState>,
    exports: Exports,
    describer: FailureDescriber,
    timeout_ticks: u64,
    /// Records mapped so far.
    records: usize,
    /// Memory after the first records: what the guest needs in any case.
    base_memory: usize,
    engine: Arc<Engine>,
}

/// A call that did not map all of its records.
pub(super) struct CallFailure {
    /// Verdicts on the records before the failure. Only the world of single records has any.
    pub(super) completed: Columns,
    pub(super) cause: FailureCause,
}

pub(super) enum FailureCause {
    /// The first record without a verdict failed on a fresh instance, so no earlier record can be the reason.
    Record(Failure<'static>),
    /// The host could not create an instance.
    NoInstance(Failure<'static>),
    /// According to the guest's progress report, one of `candidates` records from `index` on failed.
    Reported {
        /// Batch index of the first candidate.
        index: usize,
        candidates: usize,
    },
    /// The failed record is unknown.
    Unknown,
    /// Earlier records used up the memory of the instance, so no record of this call is at fault.
    MemoryExhausted,
    /// The guest wrote output or timed out between two progress reports. Every record of the plugin must be polled.
    NotPolled,
}

impl FailureCause {
    /// Makes the index relative to the first record without a verdict.
    pub(super) fn skip_completed(self, completed: usize) -> Self {
        match self {
            Self::Reported { index, candidates } => Self::Reported { index: index - completed, candidates },
            other => other,
        }
    }
}

impl Instance {
    /// Creates and configures an instance.
    pub(super) fn new(plugin: &Plugin) -> Result<Self, Failure<'static>> {
        let engine = &plugin.engine;
        let limits = &engine.limits;
        let log = GuestLog::new(plugin.line_budget.clone());
        log.set_plugin_name(&plugin.identity.name);
        let seed = Seed::default();
        let describer = FailureDescriber { log: log.clone(), limits: *limits, symbols: plugin.symbols.clone() };
        let mut wasi = engine.grants.wasi_builder(&seed).map_err(|error| describer.describe(&error, None))?;
        wasi.stdout(Stream::new(log.clone(), false)).stderr(Stream::new(log.clone(), true));
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let timeout_ticks = limits.timeout_ticks();
        let state = GuestState {
            wasi: wasi.build(),
            table,
            limiter: Limiter::new(limits),
            log: log.clone(),
            deadline: Deadline::new(engine.clock.clone(), timeout_ticks),
            open_files: OpenFiles::new(engine.grants.dirs.len()),
            seed,
        };
        let mut store = Store::new(&engine.wasmtime, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.output_bytes);
        store.set_max_component_handles(MAX_HANDLES);
        store.epoch_deadline_callback(|store| match store.data().deadline.ticks_left() {
            Some(ticks) => Ok(UpdateDeadline::Continue(ticks)),
            None => Err(Trap::Interrupt.into()),
        });
        store.set_epoch_deadline(timeout_ticks);
        let exports = match &plugin.prepared {
            Prepared::Batch(pre) => pre.instantiate(&mut store).map(Exports::Batch),
            Prepared::Record(pre) => pre.instantiate(&mut store).map(Exports::Record),
        };
        let exports = exports.map_err(|error| describer.describe(&error, store.data_mut().limiter.take_denial()))?;
        let engine = engine.clone();
        let mut instance = Self { store, exports, describer, timeout_ticks, records: 0, base_memory: 0, engine };
        instance.configure(&plugin.settings)?;
        Ok(instance)
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory()
    }

    /// The last lines of the guest about the last record.
    pub(super) fn take_output(&self) -> String {
        self.describer.log.take_tail()
    }

    /// Whether the memory has grown so much that the host should replace the instance. The base memory doesn't count; otherwise a
    /// guest with a large base would be replaced after every call.
    pub(super) fn is_full(&self) -> bool {
        let limit = self.engine.limits.memory_bytes;
        let is_denied = self.store.data().limiter.denial().is_some();
        is_denied || is_full(self.base_memory, self.memory_bytes(), limit)
    }

    fn begin_call(&mut self, records: usize) {
        self.store.set_epoch_deadline(self.timeout_ticks);
        let state = self.store.data_mut();
        state.deadline.begin_call(records as u32);
        state.limiter.take_denial();
    }

    fn reseed(&self, record: Record<'_>) {
        if self.engine.grants.deterministic {
            self.store.data().seed.reseed(record);
        }
    }

    fn end_call(&mut self, records: usize) {
        if self.records == 0 {
            self.base_memory = self.memory_bytes();
        }
        self.records += records;
    }

    fn failure(&mut self, error: &wasmtime::Error) -> Failure<'static> {
        let denial = self.store.data_mut().limiter.take_denial();
        self.describer.describe(error, denial)
    }

    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), Failure<'static>> {
        self.begin_call(0);
        let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (&**key, &**value)).collect();
        let result = match &self.exports {
            Exports::Batch(world) => world.mapper_host_mapper_plugin().call_configure(&mut self.store, &settings),
            Exports::Record(world) => world.mapper_host_mapper_plugin().call_configure(&mut self.store, &settings),
        };
        result
            .map_err(|error| self.failure(&error))?
            .map_err(|message| Failure::new(FailureKind::Rejected, format!("rejected its settings: {message}")))
    }

    /// Name and version of the plugin.
    pub(super) fn info(&mut self) -> Result<(String, String), Failure<'static>> {
        self.begin_call(0);
        let info = match &self.exports {
            Exports::Batch(world) => {
                world.mapper_host_mapper_plugin().call_describe(&mut self.store).map(|info| (info.name, info.version))
            }
            Exports::Record(world) => {
                world.mapper_host_mapper_plugin().call_describe(&mut self.store).map(|info| (info.name, info.version))
            }
        };
        info.map_err(|error| self.failure(&error))
    }

    /// Maps the first records of a batch. It maps fewer than all if the instance is full or the outputs reach their limit. The
    /// returned columns are checked. A batch mapper is polled every `stride` records.
    pub(super) fn map(&mut self, batch: &Batch, stride: u32) -> Result<Columns, Box<CallFailure>> {
        match &self.exports {
            Exports::Batch(_) => {
                self.describer.log.begin_batch(batch, stride);
                self.map_batch(batch, stride)
            }
            Exports::Record(_) => {
                self.describer.log.begin_batch(batch, 1);
                self.map_records(batch)
            }
        }
    }

    fn map_batch(&mut self, batch: &Batch, stride: u32) -> Result<Columns, Box<CallFailure>> {
        let is_fresh = self.records == 0;
        self.begin_call(batch.len());
        self.reseed(batch.record(0));
        let Exports::Batch(world) = &self.exports else { unreachable!("map checks the world") };
        let names = convert::header_names(&batch.headers);
        let partitions = batch.partitions_of_topic();
        let lowered = convert::batch(batch, &partitions, &names);
        let verdicts = world.mapper_host_mapper_batch_mapper().call_process(&mut self.store, lowered);
        let is_memory_exhausted = !is_fresh && self.store.data().limiter.denial().is_some();
        let is_uncertain = self.describer.log.is_position_uncertain();
        let is_alone = batch.len() == 1;
        let cause = match verdicts.map(convert::columns) {
            Ok(_) if is_memory_exhausted => FailureCause::MemoryExhausted,
            Ok(columns) => match columns.check(batch.len()) {
                Ok(()) => {
                    self.end_call(batch.len());
                    return Ok(columns);
                }
                Err(rule) if is_alone && is_fresh => {
                    FailureCause::Record(Failure::new(FailureKind::InvalidOutput, rule))
                }
                Err(_) => FailureCause::Unknown,
            },
            Err(_) if is_memory_exhausted => FailureCause::MemoryExhausted,
            Err(error) if is_uncertain && (is_timeout(&error) || error.is::<PositionUncertain>()) => {
                FailureCause::NotPolled
            }
            Err(error) if is_alone && is_fresh => FailureCause::Record(self.failure(&error)),
            Err(error) if failure::is_return_value_error(&error) => FailureCause::Unknown,
            Err(_) => {
                let index = (self.describer.log.index() as usize).min(batch.len() - 1);
                FailureCause::Reported { index, candidates: if is_uncertain { stride as usize } else { 1 } }
            }
        };
        Err(Box::new(CallFailure { completed: Columns::default(), cause }))
    }

    fn map_records(&mut self, batch: &Batch) -> Result<Columns, Box<CallFailure>> {
        let mut columns = convert::RecordColumns::default();
        for (index, record) in batch.records().enumerate() {
            let is_fresh = self.records == 0;
            self.describer.log.report_progress(index as u32);
            self.begin_call(0);
            self.reseed(record);
            let Exports::Record(world) = &self.exports else { unreachable!("map checks the world") };
            let mapper = world.mapper_host_mapper_record_mapper();
            let result = convert::with_input(record, |input| mapper.call_process(&mut self.store, input));
            let is_memory_exhausted = !is_fresh && self.store.data().limiter.denial().is_some();
            let reported = FailureCause::Reported { index, candidates: 1 };
            let cause = match result {
                _ if is_memory_exhausted => Some(FailureCause::MemoryExhausted),
                Err(error) if is_fresh => Some(FailureCause::Record(self.failure(&error))),
                Err(_) => Some(reported),
                Ok(outputs) => match columns.push(outputs) {
                    Ok(()) => None,
                    Err(rule) if is_fresh => Some(FailureCause::Record(Failure::new(FailureKind::InvalidOutput, rule))),
                    Err(_) => Some(reported),
                },
            };
            if let Some(cause) = cause {
                return Err(Box::new(CallFailure { completed: columns.finish(), cause }));
            }
            self.end_call(1);
            if self.is_full() || columns.bytes() >= self.engine.limits.output_bytes {
                break;
            }
        }
        Ok(columns.finish())
    }
}

fn is_timeout(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<Trap>() == Some(&Trap::Interrupt)
}

fn is_full(base: usize, memory: usize, limit: usize) -> bool {
    let growth_limit = limit.saturating_sub(base);
    memory > base + growth_limit / 100 * FULL_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_is_full_after_growing_near_its_limit() {
        assert!(!is_full(0, 75, 100) && is_full(0, 76, 100));
        // A large base memory alone doesn't make an instance full.
        assert!(!is_full(90, 90, 100));
        assert!(!is_full(100, 100, 100));
        assert!(!is_full(9000, 9750, 10_000) && is_full(9000, 9751, 10_000));
    }
}
