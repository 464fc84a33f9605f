//! What the loop does about versions: it takes a new one between two transactions, and tells what it sees of the one that speaks.

use super::provenance::Provenance;
use super::{Mapper, Pipeline, Sink, SinkError, Source, VersionSlot};
use mapper_core::record::SourcePositions;

/// The most records of a transaction during probation: what is committed of a version that is withdrawn later stays.
const PROBATION_RECORDS: usize = 100;

impl<S: Source, K: Sink, V: VersionSlot<Mapper: Mapper>> Pipeline<S, K, V> {
    /// The mapper is another one from now on. A transaction holds outputs of one version only, so what there is of the old one
    /// is committed first; what was held back of it is for the new one to judge, and what was broken may be mended.
    ///
    /// # Errors
    /// See [`SinkError`]; then the old one goes on.
    pub(super) fn take_version(&mut self) -> Result<(), SinkError> {
        self.commit()?;
        if !self.held.is_empty() {
            self.go_back()?;
        }
        let places = self.places();
        let Some(speaker) = self.versions.take(&mut self.mapper, places) else { return Ok(()) };
        self.dead_letters.set_plugin(speaker);
        if let Some(provenance) = &mut self.provenance {
            *provenance = Provenance::of(speaker);
        }
        self.close_breaker("there is a new plugin");
        Ok(())
    }

    /// The most records of a transaction.
    pub(super) fn most_records(&self) -> usize {
        let usual = self.settings.commit.records;
        if self.versions.is_on_probation() { usual.min(PROBATION_RECORDS) } else { usual }
    }

    /// Aborts what a withdrawn version has made since the last commit, its dead letters too: the version that comes maps these
    /// records again.
    ///
    /// # Errors
    /// See [`SinkError`].
    pub(super) fn abort_withdrawn(&mut self) -> Result<(), SinkError> {
        let (worker, records) = (self.settings.worker, self.transaction.records());
        self.abandon()?;
        self.go_back()?;
        self.versions.rewound(&self.source.places());
        tracing::info!(
            worker,
            records,
            "aborted the transaction of a version that is rolled back; its records are mapped again"
        );
        Ok(())
    }

    /// Where the next record of each partition is that is still to be judged.
    fn places(&self) -> SourcePositions {
        let mut places = self.source.places();
        // Of these the source is further already. Backwards, so that the first of each partition is what stays.
        for index in (self.judged..self.batch.len()).rev() {
            places.insert(self.batch.partitions[index], Some(self.batch.offsets[index]));
        }
        places
    }

    /// Carries out a rebalance; of partitions that are gone, the version that speaks here has said its last.
    pub(super) fn settle_rebalance(&mut self) -> Result<(), SinkError> {
        self.source.settle()?;
        self.versions.assigned(&self.source.places());
        Ok(())
    }
}
