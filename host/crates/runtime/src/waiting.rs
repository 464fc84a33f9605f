//! A guest that waits: `wasi:io/poll`, but no longer than the deadline of the record.
//!
//! The engine's clock only ends code of the guest, not a call of the host that it waits in. Every sleep of a guest and every wait
//! for a stream ends up here. Of a granted directory a guest opens regular files only (`open_files`), which make nobody wait.

use std::future::Future;

use wasmtime::Trap;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll as unlimited;
use wasmtime_wasi::p2::bindings::sync::io::poll;
use wasmtime_wasi::runtime::in_tokio;

use super::deadline::Deadline;

/// Tells the linker what [`Waiting`] is made of.
pub(super) struct HasWaiting;

impl HasData for HasWaiting {
    type Data<'a> = Waiting<'a>;
}

/// What the calls of `wasi:io/poll` need.
pub(super) struct Waiting<'a> {
    pub(super) table: &'a mut ResourceTable,
    pub(super) deadline: &'a Deadline,
}

impl Waiting<'_> {
    /// Waits, and ends the guest like one that computes for too long.
    fn at_most<'t, T, F>(&'t mut self, wait: impl FnOnce(&'t mut ResourceTable) -> F) -> wasmtime::Result<T>
    where
        F: Future<Output = wasmtime::Result<T>> + 't,
    {
        let (left, wait) = (self.deadline.time_left(), wait(self.table));
        in_tokio(async { tokio::time::timeout(left, wait).await.unwrap_or_else(|_| Err(Trap::Interrupt.into())) })
    }
}

impl poll::Host for Waiting<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.at_most(|table| unlimited::Host::poll(table, pollables))
    }
}

impl poll::HostPollable for Waiting<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.at_most(|table| unlimited::HostPollable::ready(table, pollable))
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.at_most(|table| unlimited::HostPollable::block(table, pollable))
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        unlimited::HostPollable::drop(self.table, pollable)
    }
}
