//! In-flight markers on a simulated disk, which outlives its processes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use mapper_core::record::{Batch, Position, Positions};
use mapper_pipeline::{Admission, InFlightMarker};

use crate::slot::UncountedVerdicts;

/// After so many crashes with a record alone in the call it is quarantined.
const MOST_CRASHES: u32 = 3;

/// The markers of a host.
#[derive(Debug, Default)]
pub(crate) struct MarkerFile {
    /// Per worker, the records that its mapper has.
    in_flight: BTreeMap<usize, Vec<Position>>,
    /// Crashes with the record alone in the call; 0: it was in a call together with others.
    suspects: BTreeMap<Position, u32>,
}

impl MarkerFile {
    /// A process begins, and takes over what the one before it has left.
    pub(crate) fn open(&mut self) {
        for records in std::mem::take(&mut self.in_flight).into_values() {
            let is_alone = records.len() == 1;
            for position in records {
                *self.suspects.entry(position).or_default() += u32::from(is_alone);
            }
        }
    }
}

/// The markers of one worker.
pub(crate) struct Marker {
    pub(crate) worker: usize,
    pub(crate) file: Rc<RefCell<MarkerFile>>,
    /// A dead process writes nothing.
    pub(crate) is_dead: Rc<Cell<bool>>,
    pub(crate) uncounted: UncountedVerdicts,
}

impl Marker {
    fn write(&self, write: impl FnOnce(&mut MarkerFile)) {
        if !self.is_dead.get() {
            write(&mut self.file.borrow_mut());
        }
    }
}

impl InFlightMarker for Marker {
    fn admit(&self, batch: &Batch, records: Range<usize>) -> Admission {
        let file = self.file.borrow();
        let suspect = |index: usize| file.suspects.get(&(batch.partitions[index], batch.offsets[index]));
        match suspect(records.start) {
            Some(crashes) if *crashes >= MOST_CRASHES => {
                self.uncounted.set(self.uncounted.get() + 1);
                Admission::Quarantined { crashes: *crashes }
            }
            Some(_) => Admission::Mapped(1),
            None => {
                let sound = records.clone().position(|index| suspect(index).is_some());
                Admission::Mapped(sound.unwrap_or(records.len()))
            }
        }
    }

    fn mark(&mut self, batch: &Batch, records: Range<usize>) {
        let records = records.map(|index| batch.record(index).position()).collect();
        self.write(|file| drop(file.in_flight.insert(self.worker, records)));
    }

    fn unmark(&mut self, batch: &Batch, records: Range<usize>) {
        self.write(|file| {
            file.in_flight.remove(&self.worker);
            if records.len() == 1 {
                file.suspects.remove(&batch.record(records.start).position());
            }
        });
    }

    fn committed(&mut self, next: &Positions) {
        let is_open = |(partition, offset): &Position| next.get(partition).is_none_or(|next| offset >= next);
        self.write(|file| file.suspects.retain(|position, _| is_open(position)));
    }
}
