//! The histories of versions that hosts on this machine have kept.

use mapper_core::shutdown::Halt;
use mapper_core::topic_table::TopicNames;
use mapper_dead_letters::WithdrawnVersions;
use mapper_dead_letters::withdrawn::Span;
use mapper_state::topics::TopicFile;
use mapper_versions::archive::Archive;
use mapper_versions::history::History;

use crate::config::{DlqCommand, HistoryPlace};

/// Reads the histories of a group. Without any, the archive is empty.
///
/// # Errors
/// If one can't be read or is damaged.
pub(super) fn open(place: &HistoryPlace) -> Result<Archive, Halt> {
    let Some(dir) = &place.state_dir else { return Ok(Archive::default()) };
    Archive::open(dir, &place.group).map_err(|error| {
        let group = &place.group;
        Halt::configuration(format!("the history of versions of the group '{group}' can't be read: {error:#}"))
    })
}

/// Where a history was looked for, for messages.
pub(super) fn describe(HistoryPlace { state_dir, group }: &HistoryPlace) -> String {
    match state_dir {
        Some(dir) => format!("the group '{group}' in {} (--consumer-group, --state-dir)", dir.display()),
        None => format!("the group '{group}': neither XDG_STATE_HOME nor HOME is set (--state-dir)"),
    }
}

/// The command with the withdrawn versions in its filter, if it selects their letters.
///
/// # Errors
/// If there is no history, or it has no withdrawn version.
pub(super) fn add_withdrawn_versions(mut command: DlqCommand) -> Result<DlqCommand, Halt> {
    if let Some(filter) = command.filter_mut()
        && let Some(place) = &filter.withdrawn_in
    {
        filter.selection.withdrawn = Some(withdrawn_versions(place)?);
    }
    Ok(command)
}

fn withdrawn_versions(place: &HistoryPlace) -> Result<WithdrawnVersions, Halt> {
    let archive = open(place)?;
    if archive.versions().is_empty() {
        return Err(Halt::configuration(format!(
            "flag --withdrawn: there is no history of versions of {}. Run the command on the machine of the host, or select the letters with \
             --failed-in DIGEST",
            describe(place)
        )));
    }
    let topics = place.state_dir.as_deref().map(|dir| TopicFile::read_all(dir, &place.group)).transpose();
    let topics =
        TopicNames::new(topics.map_err(|error| Halt::configuration(format!("{error:#}")))?.unwrap_or_default());
    let mut versions = WithdrawnVersions::default();
    for history in archive.histories() {
        for term in history.terms().filter(|term| term.probation_failure.is_some()) {
            versions.add(&term.version.digest, spans(history, term.number, &topics));
        }
    }
    if versions.is_empty() {
        return Err(Halt::configuration(format!(
            "flag --withdrawn: no version in the history of {} has failed its probation. mapper-host history lists the versions",
            describe(place)
        )));
    }
    let kept = archive.histories().flat_map(History::terms).filter(|term| term.probation_failure.is_none());
    kept.for_each(|term| versions.keep(&term.version.digest));
    Ok(versions)
}

fn spans(history: &History, term: u64, topics: &TopicNames) -> impl Iterator<Item = Span> {
    history.spans(term).map(|(number, span)| Span {
        topic: topics.topic(number).to_owned(),
        partition: topics.partition(number),
        // Without an end, the host crashed in this term.
        offsets: span.from..span.to.unwrap_or(i64::MAX),
    })
}
