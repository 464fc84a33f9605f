//! The offsets of a partition that ranges cover.

/// Disjoint spans of offsets in their order, each with its end excluded. Adjacent spans are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage(Vec<(i64, i64)>);

impl Coverage {
    /// Adds a span. Returns the parts that were covered before.
    pub(crate) fn add(&mut self, start: i64, end: i64) -> Vec<(i64, i64)> {
        if let Some(last) = self.0.last_mut()
            && start == last.1
        {
            last.1 = end.max(start);
            return Vec::new();
        }
        let overlaps = |span: &(i64, i64)| Some((span.0.max(start), span.1.min(end))).filter(|part| part.0 < part.1);
        let overlaps = self.0.iter().filter_map(overlaps).collect();
        let first = self.0.partition_point(|span| span.1 < start);
        let after = self.0.partition_point(|span| span.0 <= end);
        let (mut joined_start, mut joined_end) = (start, end.max(start));
        if first < after {
            joined_start = joined_start.min(self.0[first].0);
            joined_end = joined_end.max(self.0[after - 1].1);
        }
        self.0.splice(first..after.max(first), [(joined_start, joined_end)]);
        overlaps
    }

    /// Forgets all from this offset on.
    pub(crate) fn truncate(&mut self, from: i64) {
        self.0.retain(|span| span.0 < from);
        if let Some(last) = self.0.last_mut() {
            last.1 = last.1.min(from);
        }
    }

    pub(crate) fn start(&self) -> Option<i64> {
        self.0.first().map(|span| span.0)
    }

    /// The end of the last span.
    pub(crate) fn end(&self) -> Option<i64> {
        self.0.last().map(|span| span.1)
    }

    /// The spans between those that are covered.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.windows(2).map(|pair| (pair[0].1, pair[1].0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(coverage: &Coverage) -> Vec<(i64, i64)> {
        coverage.gaps().collect()
    }

    #[test]
    fn adjacent_ranges_are_one_span_without_a_gap() {
        let mut coverage = Coverage::default();
        for (start, end) in [(5, 10), (10, 10), (10, 30), (30, 31)] {
            assert_eq!(coverage.add(start, end), []);
        }
        assert_eq!((coverage.start(), coverage.end(), coverage.0.len()), (Some(5), Some(31), 1));
    }

    #[test]
    fn gap_and_overlap_are_found_in_any_order() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.add(20, 30), []);
        assert_eq!(coverage.add(0, 10), []);
        assert_eq!(gaps(&coverage), [(10, 20)]);
        assert_eq!(coverage.add(8, 22), [(8, 10), (20, 22)]);
        assert_eq!(gaps(&coverage), []);
        assert_eq!(coverage.0, [(0, 30)]);
        assert_eq!(coverage.add(40, 50), []);
        assert_eq!(coverage.add(30, 40), []);
        assert_eq!(coverage.0, [(0, 50)]);
        assert_eq!(coverage.add(5, 6), [(5, 6)]);
        assert_eq!(coverage.add(60, 60), []);
        assert_eq!(gaps(&coverage), [(50, 60)]);
    }

    #[test]
    fn truncated_offsets_can_be_covered_again() {
        let mut coverage = Coverage::default();
        coverage.add(0, 100);
        coverage.truncate(90);
        assert_eq!((coverage.add(90, 120), &coverage.0[..]), (vec![], &[(0, 120)][..]));
        coverage.add(130, 140);
        coverage.truncate(110);
        assert_eq!((coverage.add(110, 150), coverage.0), (vec![], vec![(0, 150)]));
    }
}
