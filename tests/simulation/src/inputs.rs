//! The input topic of a run, and what is checked about the records and offsets that come of it.

use mapper_pipeline::simulation::{Network, StoredRecord};

use crate::checker::LETTERS;
use crate::world::World;

impl World {
    /// Appends an input record, now and then beside records of a transaction that is aborted.
    pub(crate) fn append(&self, partition: i32) {
        let kind = self.random().pick(&self.scenario.kinds);
        let is_beside_aborted = self.random().chance(0.15);
        let is_in_transaction = self.random().chance(0.15);
        let number = self.checker.borrow().inputs();
        let record = StoredRecord {
            key: Some(format!("key-{number}").into_bytes()),
            value: Some(kind.name().as_bytes().to_vec()),
            timestamp_ms: Some(1000),
            ..StoredRecord::default()
        };
        let offset = {
            let mut cluster = self.cluster.borrow_mut();
            if is_beside_aborted {
                cluster.append_input_transaction(partition, record.clone(), false);
            }
            if is_in_transaction {
                cluster.append_input_transaction(partition, record, true)
            } else {
                cluster.append_input(partition, record)
            }
        };
        self.trace(|| format!("appended {partition}:{offset} {}", kind.name()));
        self.checker.borrow_mut().add_input((partition, offset), kind);
    }

    /// A step counts no verdict twice.
    pub(crate) fn check_verdicts(&self, client: usize) {
        let uncounted = self.clients.borrow()[client].uncounted.replace(0);
        if uncounted < 0 {
            self.expect(Err(format!("client {client} counted {} verdicts more than its mapper gave", -uncounted)));
        }
    }

    /// Checks what has changed.
    pub(crate) fn check(&self) {
        let now = self.now();
        let changes = {
            let mut cluster = self.cluster.borrow_mut();
            cluster.advance(now);
            cluster.take_changes()
        };
        for change in changes {
            self.statistics().commits += 1;
            self.trace(|| format!("{change:?}"));
            let checked = self.checker.borrow_mut().change(&change);
            self.expect(checked);
        }
    }

    pub(crate) fn check_at_end(&self) -> Result<(), String> {
        let (checker, cluster) = (self.checker.borrow(), self.cluster.borrow());
        for route in 0..=LETTERS {
            checker.check_order(cluster.output(route))?;
        }
        let unanswered = {
            let statistics = self.statistics();
            statistics.lost + statistics.crashes
        };
        checker.check_repetitions(unanswered)?;
        if !self.scenario.is_exactly_once {
            return Ok(());
        }
        let (hosts, clients) = (self.hosts.borrow(), self.clients.borrow());
        for ((partition, offset), made) in checker.made() {
            let host = &hosts[clients[made.client].host];
            let history = match &host.process {
                Some(process) => process.journal.read(Clone::clone),
                None => host.disk.history.clone(),
            };
            let active = history.term_at(partition, offset).map(|term| term.version.digest.as_str());
            if active != Some(&made.version) {
                return Err(format!(
                    "{} made the output of {partition}:{offset}; its history names {active:?}",
                    made.version
                ));
            }
        }
        Ok(())
    }
}
