//! The codec of a pipeline, from the schemas of its registry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mapper_codec::{Codec, Encoders, Schemas, TopicEncoders};
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_schemas::{
    Encoder, Identifier, Limits, LookupError, RestRegistry, SchemaId, SchemaSettings, SchemaSource, SchemaText,
};
use mapper_state::files::{self, Limit};

use super::client::HttpRegistry;
use crate::config::{OutputSchema, PipelineSpec, RedriveConfig, Registration, SchemaConfig, SubjectSchema};

/// A file with a schema.
const SCHEMA_FILE: Limit = Limit::new("a schema", 4 << 20);
/// The first wait for a registry that does not answer.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The codec of a pipeline; `None` without a registry.
///
/// # Errors
/// If the registry does not answer, or a subject does not exist or has another format.
pub fn build_for(spec: &PipelineSpec, shutdown: &Shutdown) -> Result<Option<Arc<Codec>>, Halt> {
    let schemas = spec.schemas.as_ref();
    let codec = schemas.map(|schemas| build(schemas, &spec.output_topics(), spec.connect_timeout, shutdown));
    Ok(codec.transpose()?.map(Arc::new))
}

/// The codec of a redrive; `None` without a registry. It registers nothing.
///
/// # Errors
/// As [`build_for`].
pub fn build_for_redrive(config: &RedriveConfig, shutdown: &Shutdown) -> Result<Option<Arc<Codec>>, Halt> {
    let Some(schemas) = &config.schemas else { return Ok(None) };
    // A redrive of a running host has its settings.
    let schemas = SchemaConfig { register: Vec::new(), ..schemas.clone() };
    let outputs: Vec<&str> = config.outputs.iter().map(String::as_str).collect();
    build(&schemas, &outputs, config.connect_timeout, shutdown).map(|codec| Some(Arc::new(codec)))
}

/// Registers schemas, and finds those of the outputs. Waits at most this long for a registry that does not answer.
///
/// # Errors
/// If the registry does not answer, or a subject does not exist or has another format.
fn build(
    config: &SchemaConfig,
    output_topics: &[&str],
    patience: Duration,
    shutdown: &Shutdown,
) -> Result<Codec, Halt> {
    let source = HttpRegistry::new(&config.registry).map_err(|error| Halt::configuration(format!("{error:#}")))?;
    let settings =
        SchemaSettings { avro: config.avro, unknown_fields: config.unknown_fields, limits: Limits::default() };
    let source: Arc<dyn SchemaSource> = Arc::new(RestRegistry(source));
    let schemas = Arc::new(Schemas::new(source, settings));
    let start = Start { schemas: &schemas, deadline: Instant::now() + patience, shutdown };
    config.register.iter().try_for_each(|registration| start.register(registration))?;
    let mut topics: BTreeMap<&str, TopicEncoders> = BTreeMap::new();
    for (outputs, what) in [(&config.output_keys, "output-key"), (&config.output_values, "output-value")] {
        for OutputSchema { topic, schema } in outputs {
            let topic = topic.as_deref().unwrap_or(output_topics[0]);
            if !output_topics.contains(&topic) {
                return Err(Halt::configuration(format!(
                    "--{what}: {topic:?} is no output topic of the pipeline: {}. Add it with --extra-topic",
                    output_topics.join(", ")
                )));
            }
            let Some(schema) = schema else { continue };
            let encoder = Some(Arc::new(start.encoder(schema, what)?));
            let encoders = topics.entry(topic).or_default();
            if what == "output-key" { encoders.key = encoder } else { encoders.value = encoder }
        }
    }
    let mut outputs = Vec::with_capacity(output_topics.len());
    for topic in output_topics {
        outputs.push((Arc::from(*topic), topics.remove(topic).unwrap_or_default()));
    }
    let outputs = Arc::new(Encoders::new(outputs));
    Ok(Codec { schemas, input_key: config.input_key, input_value: config.input_value, outputs })
}

/// What the start of a pipeline needs of the registry.
struct Start<'a> {
    schemas: &'a Schemas,
    deadline: Instant,
    shutdown: &'a Shutdown,
}

impl Start<'_> {
    fn register(&self, Registration { subject, file, format }: &Registration) -> Result<(), Halt> {
        let wrong =
            |why: String| Halt::configuration(format!("--register-schema: {subject}={}: {why}", file.display()));
        let bytes = files::read(file, SCHEMA_FILE).map_err(|error| wrong(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("the file is not UTF-8".to_owned()))?;
        let schema = SchemaText { format: *format, text, references: Vec::new() };
        let id =
            self.ask(|| self.schemas.source().register(subject, &schema)).map_err(|error| wrong(error.to_string()))?;
        tracing::info!(subject, id, "registered schema");
        Ok(())
    }

    fn encoder(&self, schema: &SubjectSchema, what: &str) -> Result<Encoder, Halt> {
        let SubjectSchema { format, subject, version } = schema;
        let wrong = |why: String| Halt::configuration(format!("--{what}: the subject {subject:?}: {why}"));
        let source = self.schemas.source();
        let found = self.ask(|| match version {
            Some(version) => source.version(subject, *version),
            None => source.latest(subject),
        });
        let found = found.map_err(|error| match error {
            LookupError::NotFound(reason) => wrong(format!(
                "the registry does not have it: {reason}. Register a schema with --register-schema {subject}=FILE"
            )),
            other => wrong(other.to_string()),
        })?;
        if found.schema.format != *format {
            return Err(wrong(format!("its schema has the format {}, not {format}", found.schema.format)));
        }
        let id = SchemaId::Id(found.id);
        let parsed =
            self.ask(|| self.schemas.insert(id, found.schema.clone())).map_err(|error| wrong(error.to_string()))?;
        let parsed = parsed.map_err(|unusable| wrong(unusable.to_string()))?;
        let encoder = Encoder::new(parsed, subject, None, Identifier::Prefix);
        tracing::info!(subject, version = found.version, id = found.id, "output schema");
        encoder.map_err(|error| wrong(error.to_string()))
    }

    /// Asks until there is an answer.
    fn ask<T>(&self, request: impl Fn() -> Result<T, LookupError>) -> Result<T, LookupError> {
        let mut wait = FIRST_WAIT;
        loop {
            match request() {
                Err(LookupError::Unavailable(reason))
                    if Instant::now() + wait < self.deadline && !self.shutdown.requested() =>
                {
                    tracing::warn!(reason = &*reason, "the schema registry does not answer; the start waits");
                    self.shutdown.sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                other => return other,
            }
        }
    }
}
