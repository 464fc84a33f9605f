//! The pipelines of a run: the one that flags describe, or those of the `[[pipeline]]` tables of a file. Of a file every mistake is found,
//! not only the first.

use clap::ArgMatches;

use super::CliError;
use super::run::pipeline;
use super::sources::Sources;
use crate::config::PipelineSpec;
use mapper_core::input_topics::InputTopics;

/// A name is a part of URLs, of labels and of names of folders.
const LONGEST_NAME: usize = 100;
const NAME_ALLOWED: &str =
    "give 1 to 100 of the characters a-z, A-Z, 0-9, '.', '_' and '-', the first one a letter or a digit";

/// The pipelines that are right, and all mistakes.
pub(super) fn read(sources: &Sources<'_>) -> (Vec<PipelineSpec>, Vec<CliError>) {
    let Some(file) = sources.file().filter(|file| !file.pipelines.is_empty()) else {
        return match pipeline(sources) {
            Ok(spec) => (vec![spec], Vec::new()),
            Err(mistake) => (Vec::new(), vec![mistake]),
        };
    };
    let (mut specs, mut mistakes) = (Vec::new(), Vec::new());
    for (index, table) in file.pipelines.iter().enumerate() {
        let title = format!("{}, pipeline {}", file.path, table.title);
        let name = table.name.as_deref();
        if let Some(mistake) = wrong_name(name).map(|why| format!("{title}, key name: {why}")) {
            mistakes.push(CliError::Wrong(mistake));
        }
        let is_taken = |other: &Option<String>| name.is_some() && other.as_deref() == name;
        if file.pipelines[..index].iter().any(|other| is_taken(&other.name)) {
            let why = "another pipeline above has this name. Give each its own";
            mistakes.push(CliError::Wrong(format!("{title}, key name: {why}")));
        }
        let (spec, wrong) = read_without_mistakes(sources.of_table(index), pipeline);
        mistakes.extend(wrong);
        if let Some(spec) = spec {
            mistakes.extend(conflict(&title, &spec, &specs).map(CliError::Wrong));
            specs.push(spec);
        }
    }
    (specs, mistakes)
}

/// Reads what there is without the settings that are wrong, and finds all that are.
pub(super) fn read_without_mistakes<T>(
    mut sources: Sources<'_>,
    read: impl Fn(&Sources<'_>) -> Result<T, CliError>,
) -> (Option<T>, Vec<CliError>) {
    let mut mistakes = Vec::new();
    loop {
        match read(&sources) {
            Ok(read) => return (Some(read), mistakes),
            Err(mistake) => {
                let goes_on = matches!(&mistake, CliError::Setting { name, .. } if sources.leave_out(name));
                mistakes.push(mistake);
                if !goes_on {
                    return (None, mistakes);
                }
            }
        }
    }
}

/// All mistakes as one error; a single one as it is.
pub(super) fn as_error(path: &str, mut mistakes: Vec<CliError>) -> Option<CliError> {
    match mistakes.len() {
        0 => None,
        1 => mistakes.pop(),
        count => {
            let lines: Vec<String> = mistakes.iter().map(|mistake| format!("\n- {mistake}")).collect();
            Some(CliError::Wrong(format!("{path} has {count} mistakes:{}", lines.concat())))
        }
    }
}

/// The settings of one pipeline, for a command about that pipeline only: of the one that `--pipeline` names, or of the only one.
///
/// # Errors
/// If the file has several and none is named, or not the named one.
pub(super) fn select<'s>(sources: Sources<'s>, matches: &ArgMatches) -> Result<Sources<'s>, CliError> {
    let name = matches.get_one::<String>("pipeline").map(|text| name(text)).transpose()?;
    let tables = sources.file().map_or(&[][..], |file| &file.pipelines);
    let names: Vec<&str> = tables.iter().filter_map(|table| table.name.as_deref()).collect();
    let known = names.join(", ");
    match name {
        None if tables.is_empty() => Ok(sources),
        None if tables.len() == 1 => Ok(sources.of_table(0)),
        None => Err(CliError::Wrong(format!("the file has several pipelines: give one with --pipeline NAME: {known}"))),
        Some(_) if tables.is_empty() => Err(CliError::Wrong(
            "flag --pipeline: there is no [[pipeline]] table. Give a file with --config".to_owned(),
        )),
        Some(name) => match tables.iter().position(|table| table.name.as_deref() == Some(name.as_str())) {
            Some(table) => Ok(sources.of_table(table)),
            None => Err(CliError::Wrong(format!("flag --pipeline: {name:?} is not in the file. Give one of: {known}"))),
        },
    }
}

/// The name of a pipeline that a flag gives.
pub(super) fn name(text: &str) -> Result<String, CliError> {
    match wrong_name(Some(text)) {
        None => Ok(text.to_owned()),
        Some(why) => Err(CliError::Wrong(format!("flag --pipeline: {why}"))),
    }
}

/// Why a pipeline can't have this name.
fn wrong_name(name: Option<&str>) -> Option<String> {
    let Some(name) = name else {
        return Some("it is missing. Give the pipeline a name, as name = \"visits\"".to_owned());
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_legal =
        name.len() <= LONGEST_NAME && name.chars().all(legal) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!is_legal).then(|| format!("{name:?} is not allowed: {NAME_ALLOWED}"))
}

/// What a pipeline can't have in common with one above.
fn conflict(title: &str, spec: &PipelineSpec, others: &[PipelineSpec]) -> Option<String> {
    others.iter().filter(|other| other.brokers == spec.brokers).find_map(|other| {
        if other.group == spec.group
            && let Some(topic) = find_common_topic(&spec.input_topics, &other.input_topics)
        {
            return Some(format!(
                "{title}, key group: {:?} is not allowed: pipeline {} reads the topic '{topic}' in the same group, so each would get a \
                 part of the records. Give one of them another group",
                spec.group, other.name
            ));
        }
        let id = spec.transactional_id.as_ref().filter(|id| other.transactional_id.as_ref() == Some(id))?;
        Some(format!(
            "{title}, key transactional-id: {id:?} is not allowed: pipeline {} has the same, so they would fence each other. Give \
             each its own, or leave it out",
            other.name
        ))
    })
}

/// A topic that both read, or a pattern that both have. Whether two patterns match the same topic can't be seen from them.
fn find_common_topic(one: &InputTopics, other: &InputTopics) -> Option<String> {
    match (one, other) {
        (InputTopics::Names(names), other) | (other, InputTopics::Names(names)) => {
            names.iter().find(|name| other.contains(name)).cloned()
        }
        (InputTopics::Pattern(one), InputTopics::Pattern(other)) => (one == other).then(|| one.as_str().to_owned()),
    }
}
