//! The version that a rollback activates. It depends on the history only; there is no I/O.

use mapper_api::versions::RollbackPlan;

use super::history::{History, Term, Trigger, Version};

/// The fewest hexadecimal digits of a digest that identify a version.
const MIN_DIGITS: usize = 4;
/// The most versions that an error lists.
const MAX_LISTED: usize = 8;

/// Plans a rollback to the version `to`, or to the version before the active one.
///
/// # Errors
/// If no version, or more than one, matches. The error lists the versions to choose from.
pub fn plan_rollback(history: &History, to: Option<&str>) -> Result<RollbackPlan, String> {
    let active = history.last().ok_or("the history is empty")?;
    let to = match to {
        Some(name) => find(history, name)?.version.clone(),
        None if active.by == Trigger::Probation => return Err(already_rolled_back(history, active)),
        None => previous(history)?,
    };
    let last = history.find_last_term(&to.digest);
    Ok(RollbackPlan {
        from: active.version.clone(),
        last_active: last.map(|term| term.since.clone()),
        probation_failure: last.and_then(|term| term.probation_failure.clone()),
        to,
    })
}

/// The version before the active one; skips versions that failed their probation.
///
/// # Errors
/// If there is no such version.
pub(super) fn previous(history: &History) -> Result<Version, String> {
    let mut before = history.last().and_then(|active| active.before.as_deref());
    // The bound protects against a cycle in a damaged history.
    for _ in 0..=history.terms().count() {
        let Some(digest) = before else { break };
        match history.find_last_term(digest) {
            Some(term) if term.probation_failure.is_some() => before = term.before.as_deref(),
            Some(term) => return Ok(term.version.clone()),
            // The store may still have its file.
            None => {
                let unknown = || "(forgotten)".to_owned();
                return Ok(Version { name: unknown(), version: unknown(), digest: digest.to_owned() });
            }
        }
    }
    Err("there is no version before this one".to_owned())
}

/// After an automatic rollback, another rollback would go one version too far. The error names that version.
fn already_rolled_back(history: &History, active: &Term) -> String {
    let failed = history.terms().rev().nth(1);
    let failed = failed.map(|term| term.version.to_string()).unwrap_or_default();
    let further = match previous(history) {
        Ok(version) => format!("To return to {version}: mapper-host rollback --to {}", short(&version)),
        Err(none) => format!("Further back {none}"),
    };
    format!(
        "already rolled back: {failed} failed its probation, and the host returned to {} by itself at {}. {further}",
        active.version, active.since
    )
}

fn short(version: &Version) -> &str {
    version.digest.get(..12).unwrap_or(&version.digest)
}

/// Finds a version by its digest, the first digits of it, a version, or `NAME@VERSION`.
fn find<'h>(history: &'h History, name: &str) -> Result<&'h Term, String> {
    let mut terms: Vec<&Term> = Vec::new();
    for term in history.terms().rev() {
        if terms.iter().all(|known| known.version.digest != term.version.digest) {
            terms.push(term);
        }
    }
    let digits = name.to_ascii_lowercase();
    let matches = |version: &Version| {
        let by_digest = digits.len() >= MIN_DIGITS && version.digest.starts_with(&digits);
        by_digest || version.version == name || name.split_once('@') == Some((&version.name, &version.version))
    };
    let found: Vec<&Term> = terms.iter().copied().filter(|term| matches(&term.version)).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(format!(
            "no version of the history is {name:?}. Give the first digits of a digest, a version or NAME@VERSION, of one of: {}",
            list(&terms)
        )),
        _ => Err(format!("{name:?} may be any of: {}. Give the first digits of its digest", list(&found))),
    }
}

fn list(terms: &[&Term]) -> String {
    let mut texts: Vec<String> = terms.iter().take(MAX_LISTED).map(|term| term.version.to_string()).collect();
    if terms.len() > MAX_LISTED {
        texts.push(format!("{} more (mapper-host history)", terms.len() - MAX_LISTED));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::history::{Event, Tally};
    use super::*;

    fn version(name: &str, digest: char) -> Version {
        let (name, version) = name.split_once('@').unwrap();
        Version { name: name.into(), version: version.into(), digest: digest.to_string().repeat(64) }
    }

    /// A history of these versions, in chronological order, with the cause of each swap.
    fn history(terms: &[(Version, Trigger)]) -> History {
        let mut history = History::default();
        for (version, by) in terms {
            let term = Term {
                number: history.next_number(),
                since: format!("time {}", history.next_number()),
                by: *by,
                forced: false,
                before: history.rollback_target(version, *by),
                probation_failure: None,
                tally: Tally::default(),
                version: version.clone(),
                recreations: VecDeque::new(),
            };
            history.apply(Event::Term(term));
        }
        history
    }

    fn fail_probation(history: &mut History, term: u64) {
        history.apply(Event::ProbationFailed { term, reason: "it trapped".into() });
    }

    fn abc() -> [Version; 3] {
        [version("m@1", 'a'), version("m@2", 'b'), version("m@3", 'c')]
    }

    #[test]
    fn rollback_returns_to_the_version_before() {
        let [a, b, _] = abc();
        let plan = plan_rollback(&history(&[(a.clone(), Trigger::Start), (b.clone(), Trigger::Http)]), None).unwrap();
        assert_eq!((plan.from, plan.to, plan.last_active.as_deref()), (b, a.clone(), Some("time 1")));
        let none = plan_rollback(&history(&[(a, Trigger::Start)]), None).unwrap_err();
        assert_eq!(none, "there is no version before this one");
    }

    #[test]
    fn rollback_after_an_automatic_rollback_is_refused_and_names_the_version_further_back() {
        let [a, b, c] = abc();
        let mut all = history(&[
            (a.clone(), Trigger::Start),
            (b.clone(), Trigger::Http),
            (c.clone(), Trigger::Http),
            (b.clone(), Trigger::Probation),
        ]);
        fail_probation(&mut all, 3);
        let refused = plan_rollback(&all, None).unwrap_err();
        assert!(refused.starts_with("already rolled back: m 3 (cccccccccccc) failed its probation"), "{refused}");
        assert!(
            refused.ends_with("To return to m 1 (aaaaaaaaaaaa): mapper-host rollback --to aaaaaaaaaaaa"),
            "{refused}"
        );
        assert_eq!(plan_rollback(&all, Some("aaaaaaaaaaaa")).unwrap().to, a);
        // After another swap, a rollback activates the version before the active one again.
        let later = history(&[
            (a, Trigger::Start),
            (b.clone(), Trigger::Http),
            (b.clone(), Trigger::Probation),
            (c, Trigger::Http),
        ]);
        assert_eq!(plan_rollback(&later, None).unwrap().to, b);
    }

    #[test]
    fn version_that_failed_its_probation_is_rollback_target_by_name_only() {
        let [a, b, c] = abc();
        // The automatic rollback from b failed, and c replaced it.
        let mut all = history(&[(a.clone(), Trigger::Start), (b.clone(), Trigger::Http), (c, Trigger::Http)]);
        fail_probation(&mut all, 2);
        assert_eq!(plan_rollback(&all, None).unwrap().to, a);
        let named = plan_rollback(&all, Some("m@2")).unwrap();
        assert_eq!((named.to, named.probation_failure.as_deref()), (b.clone(), Some("it trapped")));
        // Only the last probation of a version counts.
        let mut all = history(&[
            (a, Trigger::Start),
            (b.clone(), Trigger::Http),
            (b.clone(), Trigger::Http),
            (abc()[2].clone(), Trigger::Http),
        ]);
        fail_probation(&mut all, 2);
        assert_eq!(plan_rollback(&all, None).unwrap().to, b);
    }

    #[test]
    fn version_is_found_by_digest_or_version_and_an_ambiguous_name_is_an_error() {
        let [a, b, _] = abc();
        let other = Version { digest: format!("bbbbb{}", "0".repeat(59)), ..version("other@2", 'b') };
        let all = history(&[(a.clone(), Trigger::Start), (b.clone(), Trigger::Http), (other.clone(), Trigger::Http)]);
        let named = |name: &str| plan_rollback(&all, Some(name)).map(|plan| plan.to);
        for (name, expected) in [
            ("1", &a),
            ("m@1", &a),
            ("aaaa", &a),
            ("AAAAAA", &a),
            ("m@2", &b),
            ("other@2", &other),
            ("bbbbbb", &b),
            ("bbbbb0", &other),
            (&b.digest, &b),
        ] {
            assert_eq!(named(name).as_ref(), Ok(expected), "{name}");
        }
        for name in ["2", "bbbb"] {
            let error = named(name).unwrap_err();
            assert!(error.contains("may be any of: other 2 (bbbbb0000000), m 2 (bbbbbbbbbbbb)"), "{name}: {error}");
        }
        for name in ["", "a", "aaa", "3", "m", "m@", "@1", "m@3", "dddd", "aaaa ", "x@1"] {
            let error = named(name).unwrap_err();
            assert!(error.contains("is \"") && error.contains("m 1 (aaaaaaaaaaaa)"), "{name}: {error}");
        }
    }
}
