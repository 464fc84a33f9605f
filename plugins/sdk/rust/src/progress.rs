//! Tells the host which record of the batch is being mapped, as seldom as it lets us.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::guest::bindings::mapper_host::mapper::progress::at;

/// No record is being mapped.
const NONE: u32 = u32::MAX;

/// The record that is being mapped.
static CURRENT: AtomicU32 = AtomicU32::new(NONE);
/// The record at which the host wants to hear of us again.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A batch begins.
pub(crate) fn begin() {
    NEXT.store(0, Relaxed);
}

/// This record of the batch is next.
pub(crate) fn reach(index: u32) {
    CURRENT.store(index, Relaxed);
    if index >= NEXT.load(Relaxed) {
        NEXT.store(at(index), Relaxed);
    }
}

/// The batch is done.
pub(crate) fn end() {
    CURRENT.store(NONE, Relaxed);
}

/// Something is about to be said of the current record: the host must know which one it is.
pub(crate) fn announce() {
    let index = CURRENT.load(Relaxed);
    if index != NONE {
        NEXT.store(at(index), Relaxed);
    }
}

/// Makes the host know which record a panic is about, before it is written to stderr.
pub(crate) fn announce_panics() {
    let write = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        announce();
        write(panic);
    }));
}
