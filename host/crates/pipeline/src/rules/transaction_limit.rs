//! Smaller transactions, after one failed repeatedly: it may take longer than it may.

/// The most records of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TransactionLimit {
    records: usize,
    /// Commits since the limit was set.
    passed: u32,
}

impl TransactionLimit {
    /// The commits before the limit is doubled: where it is still too large then, that costs an abort.
    const PASSES: u32 = 4;

    /// Half of the records that failed.
    pub(super) fn below(records: usize) -> Self {
        Self { records: (records / 2).max(1), passed: 0 }
    }

    /// The most records of a transaction.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// After a commit: the limit is doubled now and then, until it has no effect.
    pub(super) fn relaxed(self, usual: usize) -> Option<Self> {
        let Self { records, passed } = self;
        match passed + 1 {
            Self::PASSES => (records * 2 < usual).then_some(Self { records: records * 2, passed: 0 }),
            passed => Some(Self { records, passed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_limit_after_commits_doubles_until_it_has_no_effect() {
        let mut limit = Some(TransactionLimit::below(100));
        let mut limits = Vec::new();
        while let Some(now) = limit {
            limits.push(now.records());
            limit = now.relaxed(150);
        }
        assert_eq!(limits, [50, 50, 50, 50, 100, 100, 100, 100]);
        assert_eq!(TransactionLimit::below(1).records(), 1);
    }
}
