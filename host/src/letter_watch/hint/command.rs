//! The command that redrives a group of a pipeline.

use mapper_telemetry::About;
use mapper_terminal::shell::quoted;

use crate::config::PipelineSpec;

/// The command for a pipeline, without its group and its plugin.
pub(crate) struct RedriveCommand {
    /// The flags of the topics.
    flags: String,
    /// Whether the pipeline has settings that no log may show, or that are too long for one.
    has_more: bool,
}

impl RedriveCommand {
    pub(crate) fn new(spec: &PipelineSpec, brokers: &str) -> Self {
        let mut flags = String::new();
        let mut add = |name: &str, value: &str| flags.push_str(&format!(" --{name} {}", quoted(value)));
        add("brokers", brokers);
        add("dead-letter-topic", &spec.dead_letter_topic);
        if spec.state_topic != format!("{}.state", spec.dead_letter_topic) {
            add("state-topic", &spec.state_topic);
        }
        add("output-topic", &spec.output_topic);
        spec.extra_topics.iter().for_each(|topic| add("extra-topic", topic));
        spec.ledger_topic.iter().for_each(|topic| add("ledger-topic", topic));
        let has_more =
            !spec.set.is_empty() || !spec.kafka.is_empty() || spec.grants != mapper_runtime::Grants::default();
        Self { flags, has_more }
    }

    /// The command with the active plugin.
    pub(super) fn of_group(&self, fingerprint: &str, about: &About) -> String {
        let file = about.plugin().map(|plugin| plugin.file.display().to_string()).unwrap_or_default();
        let more = if self.has_more { " …" } else { "" };
        format!("mapper-host dlq redrive --group {fingerprint} --plugin {}{}{more}", quoted(&file), self.flags)
    }
}
