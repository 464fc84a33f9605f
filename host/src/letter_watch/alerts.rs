//! Decides which groups of failures are posted, and as what.

use std::time::Duration;

use chrono::{DateTime, Utc};

use mapper_api::dead_letters::LetterGroupState;
use mapper_core::dead_letter::DeadLetter;
use mapper_core::record::Batch;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_dead_letters::open_letters::{OpenGroup, OpenLetters, Regression, Summary};
use mapper_kafka::PositionReader;
use mapper_telemetry::Example;
use mapper_telemetry::alerts::{AlertReason, GroupAlert};

use super::LetterWatch;

/// The timeout of the read of an example.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a message that an example has.
const MESSAGE_BYTES: usize = 300;

/// Posts a group that the process has not seen before, unless somebody knows about it.
pub(super) fn post_if_unknown(watch: &LetterWatch, alert: GroupAlert, summary: &Summary) {
    let state = known_state(&alert.fingerprint, summary, &watch.index.lock().open);
    match state {
        None => watch.known.post(alert),
        Some(state) => tracing::info!(
            group = alert.fingerprint,
            state = state.name(),
            "posted no alert of a group of failures: its state is known"
        ),
    }
}

/// The state of a group that somebody has decided about. A regression is posted by [`post_regressions`].
fn known_state(fingerprint: &str, summary: &Summary, open: &OpenLetters) -> Option<LetterGroupState> {
    let group = summary.groups.iter().find(|group| group.fingerprint == fingerprint);
    match group.map(|group| group.state) {
        Some(LetterGroupState::New | LetterGroupState::Ongoing) => None,
        Some(state) => Some(state),
        // No letter of the group is open, or there are too many groups.
        None => open
            .decided_state(fingerprint, Utc::now())
            .filter(|state| matches!(state, LetterGroupState::Acknowledged | LetterGroupState::Muted)),
    }
}

/// Posts the resolved groups that fail again, each once.
pub(super) fn post_regressions(watch: &LetterWatch, summary: &Summary) {
    for (group, regression) in summary.groups.iter().filter_map(|group| Some((group, group.regression.as_ref()?))) {
        if !watch.known.add_regression(&group.fingerprint, &regression.resolved_at) {
            continue;
        }
        if is_older(regression, watch.known.created()) {
            tracing::debug!(
                group = group.fingerprint,
                "a resolved group had failed again before the start of the host"
            );
            continue;
        }
        match regression_alert(watch, group, regression) {
            Ok(alert) => watch.known.post(alert),
            Err(halt) => {
                let error = halt.reason();
                tracing::warn!(group = group.fingerprint, error, "the alert of a regressed group has no example");
                watch.known.post(without_example(watch, group, regression));
            }
        }
    }
}

/// Whether a group had failed again before this time. The host that ran then has posted it.
fn is_older(regression: &Regression, started: DateTime<Utc>) -> bool {
    // The times of letters are whole seconds.
    regression.first_ms.is_none_or(|first_ms| first_ms / 1000 < started.timestamp())
}

fn regression_alert(watch: &LetterWatch, group: &OpenGroup, regression: &Regression) -> Result<GroupAlert, Halt> {
    let mut batch = Batch::new(watch.dead_letters.as_str());
    let within = (READ_TIMEOUT, &Shutdown::default());
    PositionReader::new(&watch.settings, &watch.dead_letters).read(
        &[regression.first],
        &mut batch,
        usize::MAX,
        within,
    )?;
    let letter = batch.records().find_map(DeadLetter::read);
    let letter = letter.ok_or_else(|| Halt::kafka("its first letter was removed".to_owned()))?;
    let (source, message) = (letter.source_or_self(), letter.message());
    let example = Example {
        topic: source.topic.to_owned(),
        partition: source.partition,
        offset: source.offset,
        message: message[..message.floor_char_boundary(MESSAGE_BYTES)].to_owned(),
        input: None,
    };
    Ok(GroupAlert { kind: letter.kind.into_owned(), example, ..without_example(watch, group, regression) })
}

fn without_example(watch: &LetterWatch, group: &OpenGroup, regression: &Regression) -> GroupAlert {
    let time = |ms: Option<i64>| ms.and_then(DateTime::from_timestamp_millis).unwrap_or_else(Utc::now);
    let (partition, offset) = regression.first;
    GroupAlert {
        reason: AlertReason::Regressed,
        origin: watch.known.origin(&watch.telemetry.about),
        fingerprint: group.fingerprint.clone(),
        kind: mapper_core::dead_letter::UNKNOWN_KIND.to_owned(),
        count: regression.letters,
        first_seen: time(regression.first_ms),
        last_seen: time(regression.last_ms),
        example: Example { topic: watch.dead_letters.clone(), partition, offset, message: String::new(), input: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(state: LetterGroupState) -> OpenGroup {
        let fingerprint = "aa".to_owned();
        OpenGroup { fingerprint, state, open: 1, first_ms: None, regression: None, samples: Vec::new() }
    }

    #[test]
    fn only_groups_that_nobody_has_decided_about_are_unknown() {
        let open = OpenLetters::default();
        for state in LetterGroupState::ALL {
            let summary = Summary { groups: vec![group(state)], ..Summary::default() };
            let is_unknown = matches!(state, LetterGroupState::New | LetterGroupState::Ongoing);
            assert_eq!(known_state("aa", &summary, &open).is_none(), is_unknown, "{state:?}");
            assert_eq!(known_state("bb", &summary, &open), None);
        }
    }

    #[test]
    fn decision_about_a_group_without_an_open_letter_counts() {
        use mapper_dead_letters::state::{Action, GroupRecord, Mark, StateChange};
        let mut open = OpenLetters::default();
        let mut known = |mark, until: Option<&str>| {
            let (at, by, reason) = ("2026-11-27T10:00:00Z".to_owned(), "ada".to_owned(), "known".to_owned());
            let action = Action { mark, at, by, reason, until: until.map(str::to_owned), version: None };
            assert!(open.apply(StateChange::Group("aa".to_owned(), Some(GroupRecord::new(action, None)))));
            known_state("aa", &Summary::default(), &open)
        };
        assert_eq!(known(Mark::Acknowledged, None), Some(LetterGroupState::Acknowledged));
        assert_eq!(known(Mark::Muted, None), Some(LetterGroupState::Muted));
        assert_eq!(known(Mark::Muted, Some("2020-01-01T00:00:00Z")), None);
        assert_eq!(known(Mark::Reopened, None), None);
    }

    #[test]
    fn regression_before_the_start_of_the_host_is_older_also_within_the_second() {
        let started = DateTime::from_timestamp_millis(5_400).unwrap();
        let regression =
            |first_ms| Regression { resolved_at: String::new(), letters: 1, first: (0, 0), first_ms, last_ms: None };
        assert!(is_older(&regression(Some(4_000)), started) && is_older(&regression(None), started));
        assert!(!is_older(&regression(Some(5_000)), started) && !is_older(&regression(Some(9_000)), started));
    }
}
