//! Reports to the host which record of the batch is next, as rarely as the host allows (`progress` in `wit/mapper.wit`).

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::guest::bindings::mapper_host::mapper::progress::at;

/// No record is being mapped.
const NONE: u32 = u32::MAX;

/// The index of the current record in its batch.
static CURRENT: AtomicU32 = AtomicU32::new(NONE);
/// The index of the record at which the host wants the next report.
static NEXT_REPORT: AtomicU32 = AtomicU32::new(0);

/// A batch begins.
pub(crate) fn begin_batch() {
    NEXT_REPORT.store(0, Relaxed);
}

/// The record with this index is next.
pub(crate) fn begin_record(index: u32) {
    CURRENT.store(index, Relaxed);
    if index >= NEXT_REPORT.load(Relaxed) {
        NEXT_REPORT.store(at(index), Relaxed);
    }
}

/// The batch is complete.
pub(crate) fn end_batch() {
    CURRENT.store(NONE, Relaxed);
}

/// Reports the current record before a line is logged, so that the host logs the line with this record.
pub(crate) fn report_current() {
    let index = CURRENT.load(Relaxed);
    if index != NONE {
        NEXT_REPORT.store(at(index), Relaxed);
    }
}

/// Reports the current record before a panic message goes to stderr.
pub(crate) fn report_before_panic_message() {
    let write = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report_current();
        write(panic);
    }));
}
