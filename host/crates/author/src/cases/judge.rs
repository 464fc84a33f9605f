//! Runs cases on a mapper, and says of each whether it holds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::{Case, Expected, view};
use crate::records::TOPIC;
use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_runtime::Mapper;

/// What became of a case.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Whether what came is what must come.
    pub passed: bool,
    /// What must come, as JSON, with no more than what is compared; null if the case doesn't say.
    pub expected: Value,
    /// What came, in the same form.
    pub seen: Value,
    /// Of a failure that nobody expected: where the guest was, and what it had logged.
    pub details: String,
    /// The fields that the case would have if what came is right, in JSON.
    pub(super) blessed: Vec<(&'static str, String)>,
}

/// Cases that can be given to one mapper in one batch: neighbours of the same settings and topic.
pub fn runs(cases: &[Case]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let of = |case: &Case| (case.settings.clone(), case.input.topic.clone());
    for (index, case) in cases.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if of(&cases[run.start]) == of(case) => run.end = index + 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

impl Case {
    /// The settings that a mapper needs for it: `common`, beaten by its own.
    pub fn settings_over(&self, common: &[(String, String)]) -> Vec<(String, String)> {
        let mut settings: BTreeMap<String, String> = common.iter().cloned().collect();
        settings.extend(self.settings.clone());
        settings.into_iter().collect()
    }
}

/// Gives the cases of one run (see [`runs`]) to a mapper that is configured for them, in one batch; one verdict each.
pub fn judge(mapper: &mut impl Mapper, cases: &[Case]) -> Vec<Judged> {
    let topic = cases.first().and_then(|case| case.input.topic.as_deref()).unwrap_or(TOPIC);
    let mut batch = Batch::new(Arc::<str>::from(topic));
    for case in cases {
        case.input.push_to(&mut batch, case.line as i64);
    }
    let mut verdicts = Verdicts::default();
    mapper.map(&batch, &mut verdicts);
    let judged = cases.iter().zip(batch.records()).zip(verdicts.iter()).map(|((case, record), verdict)| {
        let details = match (&verdict, &case.expected) {
            (Verdict::Failed(failure), expected) if !matches!(expected, Expected::Failed { .. }) => {
                failure.details.to_string()
            }
            _ => String::new(),
        };
        let blessed = view::blessed(&case.expected, copy(&verdict), record);
        let (expected, seen) = view::of(&case.expected, verdict, record);
        Judged { passed: expected == seen, expected, seen, details, blessed }
    });
    judged.collect()
}

fn copy<'a>(verdict: &Verdict<'a>) -> Verdict<'a> {
    match verdict {
        Verdict::Mapped(outputs) => Verdict::Mapped(outputs.clone()),
        Verdict::Failed(failure) => Verdict::Failed(failure.clone()),
    }
}
