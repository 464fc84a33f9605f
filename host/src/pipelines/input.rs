//! The table of the input topics of a pipeline.

use std::sync::Arc;

use crate::config::PipelineSpec;
use mapper_core::topic_table::{TopicNames, TopicTable};
use mapper_state::StateClaim;
use mapper_state::topics::TopicFile;

/// Makes the table of the topics that exist at the start. The state folder keeps the index of each, because the history of versions and
/// the in-flight markers refer to it.
///
/// # Errors
/// If the state folder can't keep it.
pub(super) fn open_table(
    spec: &PipelineSpec,
    at_start: &[String],
    claim: Option<&StateClaim>,
) -> anyhow::Result<TopicTable> {
    let mut first: Vec<&str> = at_start.iter().map(String::as_str).collect();
    let Some(claim) = claim else { return Ok(TopicTable::new(TopicNames::new(first), None)) };
    let pattern = spec.input_topics.to_string();
    if first.is_empty() {
        // The first name is a part of the names of files. It must not change when a topic is created.
        first.push(&pattern);
    }
    let (file, topics) = TopicFile::open(claim, &first)?;
    Ok(TopicTable::new(TopicNames::new(topics), Some(Box::new(file))))
}

/// A table that lasts as long as the process.
pub(super) fn table_in_memory(at_start: &[String]) -> Arc<TopicTable> {
    Arc::new(TopicTable::new(TopicNames::new(at_start.iter().map(String::as_str)), None))
}
