//! One instance of a guest: its memory, its state, and calls into it.

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
use super::failure::{self, Teller};
use super::grants::Seed;
use super::guest_log::{GuestLog, Stream, Vague};
use super::limits::Limiter;
use super::load::{Plugin, Prepared};
use super::open_files::{Files, OpenFiles};
use super::waiting::Waiting;
use mapper_core::record::{Batch, Record};
use mapper_core::verdict::{Columns, Failure, FailureKind};

/// An instance is renewed when its memory has grown through this part of what is left up to its limit, in percent: some
/// run-time systems of languages never give back what a record needed.
const FULL_PERCENT: usize = 75;
/// Handles of resources that a guest may have at a time, such as streams and what it waits for.
const MAX_HANDLES: usize = 10_000;

/// What the host keeps for an instance.
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
    /// What a guest needs to wait.
    pub(super) fn waiting(&mut self) -> Waiting<'_> {
        Waiting { table: &mut self.table, deadline: &self.deadline }
    }

    /// What a guest needs to use files.
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
        Ok(self.log.line(level, &message)?)
    }
}

impl progress::Host for GuestState {
    fn at(&mut self, index: u32) -> u32 {
        self.deadline.reach(index);
        self.log.at(index)
    }
}

enum Exports {
    Batch(batch_world::MapperBatch),
    Record(record_world::Mapper),
}

/// A configured instance, ready for records. Once a call has failed it must not be called again: a guest that trapped
/// can never be entered again, and one that broke the contract is not to be trusted.
pub(super) struct Instance {
    store: Store<GuestState>,
    exports: Exports,
    teller: Teller,
    timeout_ticks: u64,
    /// Records it was given.
    records: usize,
    /// Its memory after the first call with records, in bytes: what it needs in any case.
    base_memory: usize,
    engine: Arc<Engine>,
}

/// How far a batch came, and why no further.
pub(super) struct Failed {
    /// Verdicts on the first records; only a mapper of one record a call has any.
    pub(super) before: Columns,
    pub(super) why: Why,
}

/// Why a batch came no further.
pub(super) enum Why {
    /// The first record without a verdict failed, on an instance that had seen no other: it is its own failure.
    Record(Failure<'static>),
    /// No instance could be made.
    NoInstance(Failure<'static>),
    /// One of `among` records failed, the first of which is this one of the batch, if it is true what the guest said.
    At {
        /// Of the batch.
        index: usize,
        /// How many it may have been.
        among: usize,
    },
    /// Which one failed is not known.
    Somewhere,
    /// The instance had used up its memory for others: nobody's failure.
    UsedUp,
    /// The guest wrote, or was slow, while it was not asked to say at every record where it is. It will do so again.
    NotAsked,
}

impl Why {
    /// The same, for the records after the first ones, which have verdicts.
    pub(super) fn after_first(self, judged: usize) -> Self {
        match self {
            Self::At { index, among } => Self::At { index: index - judged, among },
            other => other,
        }
    }
}

impl Instance {
    /// Makes an instance, and configures it.
    pub(super) fn new(plugin: &Plugin) -> Result<Self, Failure<'static>> {
        let engine = &plugin.engine;
        let limits = &engine.limits;
        let log = GuestLog::new(plugin.line_budget.clone());
        log.name(&plugin.identity.name);
        let seed = Seed::default();
        let teller = Teller { log: log.clone(), limits: *limits, symbols: plugin.symbols.clone() };
        let mut wasi = engine.grants.wasi(&seed).map_err(|error| teller.tell(&error, None))?;
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
        store.epoch_deadline_callback(|store| match store.data().deadline.left() {
            Some(left) => Ok(UpdateDeadline::Continue(left)),
            None => Err(Trap::Interrupt.into()),
        });
        store.set_epoch_deadline(timeout_ticks);
        let exports = match &plugin.prepared {
            Prepared::Batch(pre) => pre.instantiate(&mut store).map(Exports::Batch),
            Prepared::Record(pre) => pre.instantiate(&mut store).map(Exports::Record),
        };
        let exports = exports.map_err(|error| teller.tell(&error, store.data_mut().limiter.take_denied()))?;
        let engine = engine.clone();
        let mut instance = Self { store, exports, teller, timeout_ticks, records: 0, base_memory: 0, engine };
        instance.configure(&plugin.settings)?;
        Ok(instance)
    }

    /// Records it was given.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// Its linear memory, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.store.data().limiter.memory()
    }

    /// Whether its memory has grown so near to its limit that it should be renewed. What it needs from the first records
    /// on doesn't count, or one that needs much would be renewed for ever.
    pub(super) fn is_full(&self) -> bool {
        let limit = self.engine.limits.memory_bytes;
        let denied = self.store.data().limiter.denied().is_some();
        denied || is_full(self.base_memory, self.memory(), limit)
    }

    fn enter(&mut self, records: usize) {
        self.store.set_epoch_deadline(self.timeout_ticks);
        let state = self.store.data_mut();
        state.deadline.begin(records as u32);
        state.limiter.take_denied();
    }

    fn begin_seed(&self, record: Record<'_>) {
        if self.engine.grants.deterministic {
            self.store.data().seed.begin(record);
        }
    }

    /// The end of a call with records.
    fn leave(&mut self, records: usize) {
        if self.records == 0 {
            self.base_memory = self.memory();
        }
        self.records += records;
    }

    fn failure(&mut self, error: &wasmtime::Error) -> Failure<'static> {
        let denied = self.store.data_mut().limiter.take_denied();
        self.teller.tell(error, denied)
    }

    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), Failure<'static>> {
        self.enter(0);
        let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (&**key, &**value)).collect();
        let answer = match &self.exports {
            Exports::Batch(world) => world.mapper_host_mapper_plugin().call_configure(&mut self.store, &settings),
            Exports::Record(world) => world.mapper_host_mapper_plugin().call_configure(&mut self.store, &settings),
        };
        answer
            .map_err(|error| self.failure(&error))?
            .map_err(|message| Failure::new(FailureKind::Rejected, format!("it refuses its settings: {message}")))
    }

    /// The name and version the mapper gives itself.
    pub(super) fn describe(&mut self) -> Result<(String, String), Failure<'static>> {
        self.enter(0);
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

    /// Maps the first records of a batch, all of them unless the instance is to be renewed in between or there is too much
    /// to hand back at once; the columns have passed their check. A mapper of batches is asked every `stride` records where
    /// it is.
    pub(super) fn map(&mut self, batch: &Batch, stride: u32) -> Result<Columns, Box<Failed>> {
        match &self.exports {
            Exports::Batch(_) => {
                self.teller.log.begin(batch, stride);
                self.map_batch(batch, stride)
            }
            Exports::Record(_) => {
                self.teller.log.begin(batch, 1);
                self.map_records(batch)
            }
        }
    }

    fn map_batch(&mut self, batch: &Batch, stride: u32) -> Result<Columns, Box<Failed>> {
        let fresh = self.records == 0;
        self.enter(batch.len());
        self.begin_seed(batch.record(0));
        let Exports::Batch(world) = &self.exports else { unreachable!("asked by map") };
        let names = convert::header_names(&batch.headers);
        let lowered = convert::batch(batch, &names);
        let verdicts = world.mapper_host_mapper_batch_mapper().call_process(&mut self.store, lowered);
        let used_up = !fresh && self.store.data().limiter.denied().is_some();
        let vague = self.teller.log.is_vague();
        let alone = batch.len() == 1;
        let why = match verdicts.map(convert::columns) {
            Ok(_) if used_up => Why::UsedUp,
            Ok(columns) => match columns.check(batch.len()) {
                Ok(()) => {
                    self.leave(batch.len());
                    return Ok(columns);
                }
                Err(rule) if alone && fresh => Why::Record(Failure::new(FailureKind::InvalidOutput, rule)),
                Err(_) => Why::Somewhere,
            },
            Err(_) if used_up => Why::UsedUp,
            Err(error) if vague && (is_slow(&error) || error.is::<Vague>()) => Why::NotAsked,
            Err(error) if alone && fresh => Why::Record(self.failure(&error)),
            Err(error) if failure::is_of_the_answer(&error) => Why::Somewhere,
            Err(_) => {
                let index = (self.teller.log.index() as usize).min(batch.len() - 1);
                Why::At { index, among: if vague { stride as usize } else { 1 } }
            }
        };
        Err(Box::new(Failed { before: Columns::default(), why }))
    }

    fn map_records(&mut self, batch: &Batch) -> Result<Columns, Box<Failed>> {
        let mut columns = convert::RecordColumns::default();
        for (index, record) in batch.records().enumerate() {
            let fresh = self.records == 0;
            self.teller.log.at(index as u32);
            self.enter(0);
            self.begin_seed(record);
            let Exports::Record(world) = &self.exports else { unreachable!("asked by map") };
            let mapper = world.mapper_host_mapper_record_mapper();
            let answer = convert::with_input(record, |input| mapper.call_process(&mut self.store, input));
            let used_up = !fresh && self.store.data().limiter.denied().is_some();
            let elsewhere = Why::At { index, among: 1 };
            let why = match answer {
                _ if used_up => Some(Why::UsedUp),
                Err(error) if fresh => Some(Why::Record(self.failure(&error))),
                Err(_) => Some(elsewhere),
                Ok(answer) => match columns.push(answer) {
                    Ok(()) => None,
                    Err(rule) if fresh => Some(Why::Record(Failure::new(FailureKind::InvalidOutput, rule))),
                    Err(_) => Some(elsewhere),
                },
            };
            if let Some(why) = why {
                return Err(Box::new(Failed { before: columns.finish(), why }));
            }
            self.leave(1);
            if self.is_full() || columns.bytes() >= self.engine.limits.output_bytes {
                break;
            }
        }
        Ok(columns.finish())
    }
}

fn is_slow(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<Trap>() == Some(&Trap::Interrupt)
}

fn is_full(base: usize, memory: usize, limit: usize) -> bool {
    let room = limit.saturating_sub(base);
    memory > base + room / 100 * FULL_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_full_when_it_has_grown_near_its_limit() {
        assert!(!is_full(0, 75, 100) && is_full(0, 76, 100));
        // One that needs nearly all from the start is not renewed for that.
        assert!(!is_full(90, 90, 100));
        assert!(!is_full(100, 100, 100));
        assert!(!is_full(9000, 9750, 10_000) && is_full(9000, 9751, 10_000));
    }
}
