//! `wasi:io/poll` with the deadline of the record.
//!
//! Epoch interruption ends guest code only, not a host call that blocks. Every sleep and every wait for a stream of a guest calls
//! this interface. Reads from a granted directory don't block, because `open_files` opens regular files only.

use std::future::Future;

use wasmtime::Trap;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll as unlimited;
use wasmtime_wasi::p2::bindings::sync::io::poll;
use wasmtime_wasi::runtime::in_tokio;

use super::deadline::Deadline;

pub(super) struct HasDeadlinePoll;

impl HasData for HasDeadlinePoll {
    type Data<'a> = DeadlinePoll<'a>;
}

/// The part of the guest state that `wasi:io/poll` needs.
pub(super) struct DeadlinePoll<'a> {
    pub(super) table: &'a mut ResourceTable,
    pub(super) deadline: &'a Deadline,
}

impl DeadlinePoll<'_> {
    /// Waits until the deadline at most, and then traps like epoch interruption.
    fn wait_until_deadline<'t, T, F>(&'t mut self, wait: impl FnOnce(&'t mut ResourceTable) -> F) -> wasmtime::Result<T>
    where
        F: Future<Output = wasmtime::Result<T>> + 't,
    {
        let (left, wait) = (self.deadline.time_left(), wait(self.table));
        in_tokio(async { tokio::time::timeout(left, wait).await.unwrap_or_else(|_| Err(Trap::Interrupt.into())) })
    }
}

impl poll::Host for DeadlinePoll<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.wait_until_deadline(|table| unlimited::Host::poll(table, pollables))
    }
}

impl poll::HostPollable for DeadlinePoll<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.wait_until_deadline(|table| unlimited::HostPollable::ready(table, pollable))
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.wait_until_deadline(|table| unlimited::HostPollable::block(table, pollable))
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        unlimited::HostPollable::drop(self.table, pollable)
    }
}
