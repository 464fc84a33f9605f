//! One instance of a guest: its memory, its state, and calls into it.

use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::bindings::batch_world::mapper_host::mapper::{logging, progress};
use super::bindings::{batch_world, record_world};
use super::convert;
use super::guest_log::{GuestLog, Stream, Vague};
use super::load::{Plugin, World};
use crate::record::Batch;
use crate::verdict::{Columns, Failure, FailureKind};

/// What the host keeps for an instance.
pub(super) struct GuestState {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
    log: GuestLog,
    /// The record that was being mapped when the deadline was last looked at.
    seen_index: u32,
    /// The records of the batch, each of which gives the guest new time when it is reached; 0 when there is one deadline.
    records: u32,
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
    log: GuestLog,
    timeout_ticks: u64,
}

/// How far a batch came.
pub(super) struct Failed {
    /// Verdicts on the records before the one that failed; only a mapper of one record a call has any.
    pub(super) before: Columns,
    /// The record that the guest said it was at.
    pub(super) at: usize,
    /// Whether it is known that this very record failed.
    pub(super) exact: bool,
    /// Set when the guest was at `at` or one of the next records: how to find out.
    pub(super) again: Option<Again>,
    pub(super) failure: Failure<'static>,
}

/// How to take a batch for which the guest was not asked where it is at every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Record by record, this once.
    Exactly,
    /// Record by record, and so are all batches from now on: a guest that writes or is slow will do so again.
    ExactlyFromNowOn,
}

impl Instance {
    /// Makes an instance, and configures it.
    pub(super) fn new(plugin: &Plugin) -> Result<Self, Failure<'static>> {
        let engine = &plugin.engine;
        let log = GuestLog::default();
        log.name(&plugin.identity.name);
        let wasi = WasiCtxBuilder::new()
            .stdout(Stream { log: log.clone(), stderr: false })
            .stderr(Stream { log: log.clone(), stderr: true })
            .build();
        let limits = StoreLimitsBuilder::new().memory_size(engine.limits.memory_bytes).instances(64).tables(64).build();
        let state =
            GuestState { wasi, table: ResourceTable::new(), limits, log: log.clone(), seen_index: 0, records: 0 };
        let mut store = Store::new(&engine.wasmtime, state);
        store.limiter(|state| &mut state.limits);
        let timeout_ticks = engine.limits.timeout_ticks();
        // Looked at twice per timeout: a guest that is still at the same record then has had its time.
        store.epoch_deadline_callback(move |mut store| {
            let state = store.data_mut();
            let index = state.log.index();
            // Only forwards and within the batch, or a guest could have new time for ever.
            if index > state.seen_index && index < state.records {
                state.seen_index = index;
                return Ok(UpdateDeadline::Continue(timeout_ticks));
            }
            Err(Trap::Interrupt.into())
        });
        store.set_epoch_deadline(timeout_ticks);
        let exports = match &plugin.world {
            World::Batch(pre) => pre.instantiate(&mut store).map(Exports::Batch),
            World::Record(pre) => pre.instantiate(&mut store).map(Exports::Record),
        };
        let exports = exports.map_err(|error| failure(&error, &log))?;
        let mut instance = Self { store, exports, log, timeout_ticks };
        instance.configure(&plugin.settings)?;
        Ok(instance)
    }

    fn enter(&mut self, records: usize) {
        self.store.set_epoch_deadline(self.timeout_ticks);
        let state = self.store.data_mut();
        state.records = records as u32;
        state.seen_index = 0;
    }

    fn configure(&mut self, settings: &[(String, String)]) -> Result<(), Failure<'static>> {
        self.enter(0);
        let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (&**key, &**value)).collect();
        let answer = match &self.exports {
            Exports::Batch(world) => world.mapper_host_mapper_plugin().call_configure(&mut self.store, &settings),
            Exports::Record(world) => world.mapper_host_mapper_plugin().call_configure(&mut self.store, &settings),
        };
        answer
            .map_err(|error| failure(&error, &self.log))?
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
        info.map_err(|error| failure(&error, &self.log))
    }

    /// Maps a batch; the columns have passed their check. A mapper of batches is asked every `stride` records where it is.
    pub(super) fn map(&mut self, batch: &Batch, stride: u32) -> Result<Columns, Box<Failed>> {
        match &self.exports {
            Exports::Batch(_) => {
                self.log.begin(batch, stride);
                self.enter(batch.len());
                self.map_batch(batch)
            }
            Exports::Record(_) => {
                self.log.begin(batch, 1);
                self.enter(0);
                self.map_records(batch)
            }
        }
    }

    fn map_batch(&mut self, batch: &Batch) -> Result<Columns, Box<Failed>> {
        let Exports::Batch(world) = &self.exports else { unreachable!("asked by map") };
        let names = convert::header_names(&batch.headers);
        let lowered = convert::batch(batch, &names);
        let verdicts = world.mapper_host_mapper_batch_mapper().call_process(&mut self.store, lowered);
        let again = verdicts.as_ref().err().filter(|_| self.log.is_vague()).map(again);
        let result = verdicts.map_err(|error| failure(&error, &self.log)).and_then(|verdicts| {
            let columns = convert::columns(verdicts);
            match columns.check(batch.len()) {
                Ok(()) => Ok(columns),
                Err(rule) => Err(Failure::new(FailureKind::InvalidOutput, rule)),
            }
        });
        result.map_err(|failure| {
            let at = (self.log.index() as usize).min(batch.len() - 1);
            Box::new(Failed { before: Columns::default(), at, exact: batch.len() == 1, again, failure })
        })
    }

    fn map_records(&mut self, batch: &Batch) -> Result<Columns, Box<Failed>> {
        let Exports::Record(world) = &self.exports else { unreachable!("asked by map") };
        let mapper = world.mapper_host_mapper_record_mapper();
        let mut columns = convert::RecordColumns::default();
        for (index, record) in batch.records().enumerate() {
            self.log.at(index as u32);
            self.store.set_epoch_deadline(self.timeout_ticks);
            let result = convert::with_input(record, |input| mapper.call_process(&mut self.store, input))
                .map_err(|error| failure(&error, &self.log))
                .and_then(|answer| columns.push(answer).map_err(|rule| Failure::new(FailureKind::InvalidOutput, rule)));
            if let Err(failure) = result {
                return Err(Box::new(Failed {
                    before: columns.finish(),
                    at: index,
                    exact: true,
                    again: None,
                    failure,
                }));
            }
        }
        Ok(columns.finish())
    }
}

fn again(error: &wasmtime::Error) -> Again {
    let slow = error.downcast_ref::<Trap>() == Some(&Trap::Interrupt);
    if slow || error.is::<Vague>() { Again::ExactlyFromNowOn } else { Again::Exactly }
}

/// From what wasmtime says to a failure, with what the guest had written.
fn failure(error: &wasmtime::Error, log: &GuestLog) -> Failure<'static> {
    let written = log.take_kept();
    let trap = error.downcast_ref::<Trap>();
    let kind = if trap == Some(&Trap::Interrupt) { FailureKind::Timeout } else { FailureKind::Trap };
    let mut message = match trap {
        Some(Trap::Interrupt) => "the guest took longer than it may".to_owned(),
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    if let Some(said) = written.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("note:")) {
        message = format!("{message}; the guest's last words: {said}");
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
    let details = [backtrace.trim_end(), written.trim_end()].into_iter().filter(|part| !part.is_empty());
    Failure { kind, message: message.into(), details: details.collect::<Vec<_>>().join("\n").into() }
}
