//! `mapper-host check --config FILE`: prints the mistakes of a settings file, and missing topics and permissions.

use std::collections::BTreeMap;

use mapper_core::input_topics::TopicPattern;
use serde_json::json;

use crate::config::{CheckFileConfig, MemoryBound, PipelineSpec};
use crate::pipelines::{CheckedTopics, Cluster, check_cluster};
use mapper_author::project;
use mapper_core::bytes::Bytes;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_terminal::output;

/// Checks the file and prints the mistakes.
///
/// # Errors
/// If there is a mistake; the cause is that of the first one.
pub fn check(config: &CheckFileConfig) -> Result<(), Halt> {
    let mut mistakes = config.mistakes.clone();
    let of_pipeline = |spec: &PipelineSpec, what: String| format!("{}, pipeline {}, {what}", config.path, spec.name);
    for spec in &config.pipelines {
        mistakes.extend(missing_plugin(spec).map(|what| of_pipeline(spec, what)));
        mistakes.extend(spec.grants.check().err().map(|what| of_pipeline(spec, what)));
    }
    let mut cause = (!mistakes.is_empty()).then_some(Cause::Configuration);
    let (mut inputs, mut missing) = (Vec::new(), Vec::new());
    if config.asks_kafka {
        for spec in &config.pipelines {
            let Some(brokers) = spec.brokers.clone() else { continue };
            let cluster = Cluster { brokers, is_durable: true };
            match check_cluster(spec, &cluster, &Shutdown::default()) {
                Ok(CheckedTopics { inputs: found, to_create }) => {
                    inputs.push((spec, found));
                    missing.push((spec, to_create));
                }
                Err(halt) => {
                    cause = cause.or(Some(halt.cause));
                    mistakes.push(of_pipeline(spec, halt.reason()));
                }
            }
        }
    }
    if config.json {
        let pipelines: Vec<&str> = config.pipelines.iter().map(|spec| spec.name.as_str()).collect();
        let to_create: BTreeMap<&str, &[String]> =
            missing.iter().map(|(spec, topics)| (spec.name.as_str(), &topics[..])).collect();
        let input_topics: BTreeMap<&str, &[String]> =
            inputs.iter().map(|(spec, topics)| (spec.name.as_str(), &topics[..])).collect();
        output::print_json(
            &json!({ "file": config.path, "pipelines": pipelines, "mistakes": mistakes, "input_topics": input_topics, "topics_to_create": to_create }),
        );
    } else {
        mistakes.iter().for_each(|mistake| output::print_line(mistake.as_str()));
    }
    let Some(cause) = cause else {
        if !config.json {
            print_summary(config);
            inputs.iter().for_each(|(spec, topics)| print_matches(spec, topics));
            for (spec, topics) in &missing {
                let will_create =
                    |topic| format!("pipeline {}: will create the topic '{topic}' (--create-topics)", spec.name);
                topics.iter().for_each(|topic| output::print_line(will_create(topic)));
            }
        }
        return Ok(());
    };
    let count = mistakes.len();
    let mistakes = if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") };
    Err(Halt::new(cause, anyhow::anyhow!("{} has {mistakes}, listed above", config.path)))
}

/// Prints the pipelines with their memory limits.
fn print_summary(config: &CheckFileConfig) {
    output::print_line(format!("{}: no mistakes", config.path));
    let bounds: Vec<MemoryBound> = config.pipelines.iter().map(MemoryBound::of).collect();
    for (spec, bound) in config.pipelines.iter().zip(&bounds) {
        output::print_line(format!("pipeline {}: memory at most {bound}", spec.name));
    }
    let total: u64 = bounds.iter().map(MemoryBound::total).sum();
    output::print_line(format!("all pipelines: memory at most {}, and that of the process itself", Bytes(total)));
}

/// The topics that match the pattern of a pipeline.
fn print_matches(spec: &PipelineSpec, topics: &[String]) {
    let Some(pattern) = spec.input_topics.pattern().map(TopicPattern::as_str) else { return };
    let name = &spec.name;
    output::print_line(match topics {
        [] => format!("pipeline {name}: no topic matches the pattern {pattern} yet"),
        _ => format!("pipeline {name}: the pattern {pattern} reads {}", topics.join(", ")),
    });
}

/// The mistake if the plugin file of a pipeline does not exist and cannot be built.
fn missing_plugin(spec: &PipelineSpec) -> Option<String> {
    let path = &spec.plugin;
    if path.as_os_str().is_empty() || path.exists() || project::find_for_plugin(path).is_some() {
        return None;
    }
    let path = path.display();
    Some(format!(
        "key plugin: {path}: there is no such file. Build it, or give another; paths start at the working directory"
    ))
}
