//! The simulated guest: it does what the value of a record asks for, and fails as its scenario says.

use std::ops::Range;
use std::rc::Weak;
use std::time::Duration;

use mapper_core::record::{Batch, Column, Record};
use mapper_core::verdict::{Columns, Failure, FailureKind, OutputTopics, Verdicts};
use mapper_pipeline::Mapper;

use crate::scenario::Kind;
use crate::slot::UncountedVerdicts;
use crate::world::World;

/// The topics of outputs, in the order of their routes.
pub(crate) const TOPICS: [&str; 2] = ["reduced", "other"];
/// How large the output of a large record is.
const LARGE_BYTES: usize = 3000;

/// A version of the mapper, with an instance for one worker.
pub(crate) struct Guest {
    pub(crate) world: Weak<World>,
    pub(crate) client: usize,
    /// Traps more often than a sound version.
    pub(crate) is_faulty: bool,
    pub(crate) uncounted: UncountedVerdicts,
}

/// What a record is mapped to: indexes of topics, whether the output has a key, and the size of its value.
pub(crate) fn outputs(kind: Kind) -> &'static [(u32, bool, usize)] {
    match kind {
        Kind::One => &[(0, true, 1)],
        Kind::Two => &[(0, true, 1), (1, true, 1)],
        Kind::Large => &[(0, true, LARGE_BYTES)],
        Kind::Keyless => &[(1, false, 1)],
        Kind::Skip | Kind::Reject | Kind::Trap | Kind::Deadly => &[],
    }
}

impl Guest {
    /// How the guest crashes on this record, if it does.
    fn crash(&self, world: &World, kind: Kind) -> Option<Failure<'static>> {
        let guests = &world.scenario.guests;
        let share = if self.is_faulty { guests.faulty_trap } else { guests.trap };
        if kind != Kind::Trap && !(world.has_faults() && world.random().chance(share)) {
            return None;
        }
        let failure = world.random().pick(&[
            FailureKind::Trap,
            FailureKind::Trap,
            FailureKind::Timeout,
            FailureKind::OutOfMemory,
        ]);
        if failure == FailureKind::Timeout {
            world.pass(self.client, Duration::from_secs(1));
        }
        Some(Failure::new(failure, "the guest is simulated"))
    }

    fn map_record(record: Record<'_>, kind: Kind, verdicts: &mut Verdicts) {
        let mut columns = Columns { statuses: vec![u8::from(kind == Kind::Reject)], ..Columns::default() };
        let mut topics = OutputTopics { names: vec![TOPICS[1].into()], ..OutputTopics::default() };
        if kind == Kind::Reject {
            columns.errors.push(Some(b"rejected"));
        }
        let mut keys = Column::default();
        for (topic, has_key, bytes) in outputs(kind) {
            topics.indexes.push(*topic);
            keys.push(record.key().filter(|_| *has_key));
            columns.values.push(Some(&vec![b'0' + *topic as u8; *bytes]));
        }
        columns.output_ends = vec![columns.values.len() as u32];
        columns.keys = Some(keys);
        columns.topics = Some(topics);
        debug_assert!(columns.check(1).is_ok());
        verdicts.push_columns(columns);
    }
}

impl Mapper for Guest {
    fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        let Some(world) = self.world.upgrade() else { unreachable!("a world outlives its guests") };
        if world.has_faults() && world.random().chance(world.scenario.guests.slow) {
            let slow = world.random().millis(200, 8000);
            world.pass(self.client, slow);
        }
        for record in records.map(|index| batch.record(index)) {
            self.uncounted.set(self.uncounted.get() + 1);
            let kind = Kind::from_value(record.value().unwrap_or_default());
            if kind == Kind::Deadly {
                world.kill_host_of(self.client, "a deadly record");
            }
            if let Some(failure) = self.crash(&world, kind) {
                return verdicts.push_failure(failure);
            }
            Self::map_record(record, kind, verdicts);
        }
    }
}
