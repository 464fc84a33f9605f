//! Runs cases with a mapper and compares the results.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::{Case, CaseFile, Expected, view};
use crate::records::DEFAULT_TOPIC;
use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_runtime::Mapper;

/// The results of all cases in one file, in the same order.
pub struct FileResults {
    pub file: CaseFile,
    pub results: Vec<CaseResult>,
}

#[derive(Debug, Clone)]
pub struct CaseResult {
    pub passed: bool,
    /// The compared fields of the expected result; null if the case has none.
    pub expected: Value,
    /// The same fields of the actual result.
    pub actual: Value,
    /// Backtrace and guest output of an unexpected failure.
    pub details: String,
    /// Key and JSON text of the fields that make this result the expected one.
    pub(super) blessed: Vec<(&'static str, String)>,
}

/// Splits cases into ranges with the same settings and topic. One mapper can map such a range in one batch.
pub fn split_runs(cases: &[Case]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let key = |case: &Case| (case.settings.clone(), case.input.topic.clone());
    for (index, case) in cases.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if key(&cases[run.start]) == key(case) => run.end = index + 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

impl Case {
    /// The settings for the mapper. The settings of the case override `common`.
    pub fn merge_settings(&self, common: &[(String, String)]) -> Vec<(String, String)> {
        let mut settings: BTreeMap<String, String> = common.iter().cloned().collect();
        settings.extend(self.settings.clone());
        settings.into_iter().collect()
    }
}

/// Maps the cases of one range (see [`split_runs`]) in one batch, and returns one result per case.
pub fn run(mapper: &mut impl Mapper, cases: &[Case]) -> Vec<CaseResult> {
    let topic = cases.first().and_then(|case| case.input.topic.as_deref()).unwrap_or(DEFAULT_TOPIC);
    let mut batch = Batch::new(Arc::<str>::from(topic));
    for case in cases {
        case.input.push_to(&mut batch, case.line as i64);
    }
    let mut verdicts = Verdicts::default();
    mapper.map(&batch, &mut verdicts);
    let results = cases.iter().zip(batch.records()).zip(verdicts.iter()).map(|((case, record), verdict)| {
        let details = match (&verdict, &case.expected) {
            (Verdict::Failed(failure), expected) if !matches!(expected, Expected::Failed { .. }) => {
                failure.details.to_string()
            }
            _ => String::new(),
        };
        let blessed = view::blessed(&case.expected, clone_verdict(&verdict), record);
        let view::Comparison { expected, actual } = view::compare(&case.expected, verdict, record);
        CaseResult { passed: expected == actual, expected, actual, details, blessed }
    });
    results.collect()
}

fn clone_verdict<'a>(verdict: &Verdict<'a>) -> Verdict<'a> {
    match verdict {
        Verdict::Mapped(outputs) => Verdict::Mapped(outputs.clone()),
        Verdict::Failed(failure) => Verdict::Failed(failure.clone()),
    }
}
