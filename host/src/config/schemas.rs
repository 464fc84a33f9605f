//! How a pipeline decodes its records and encodes its outputs.

use std::fmt;
use std::path::PathBuf;

use mapper_schemas::{AvroOptions, Format, InputFormat, UnknownFields};
use ureq::http::Uri;
use ureq::http::uri::Scheme;

use super::credentials;
use super::values::Read;

const URLS_ALLOWED: &str =
    "give one or more http:// or https:// URLs with commas between them, such as http://localhost:8081";
const INPUT_ALLOWED: &str = "give raw, avro, protobuf, json-schema or auto";
const OUTPUT_ALLOWED: &str = "give raw, or FORMAT:SUBJECT or FORMAT:SUBJECT@VERSION with the format avro, protobuf or json-schema, such as \
     avro:visits_reduced-value; TOPIC= before it names another topic than the default output topic";
const REGISTER_ALLOWED: &str = "give SUBJECT=FILE with a file that ends in .avsc, .proto or .json";

/// The URL of a schema registry. Its credentials are in no text of it.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryUrl {
    /// Without credentials and without a slash at its end.
    pub(crate) url: String,
    /// The value of the header Authorization, from the credentials of the URL.
    pub(crate) authorization: Option<String>,
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A schema registry, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Servers of one registry: the next one is asked if one does not answer.
    pub urls: Vec<RegistryUrl>,
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// A file with the certificates of the authorities that the registry's certificate may be of; without it, those of this machine.
    pub ca_file: Option<PathBuf>,
    /// The files with the certificate of this client and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The schema of the keys or values of an output topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSchema {
    /// `None` is the default output topic.
    pub topic: Option<String>,
    /// `None` writes what the plugin returns.
    pub schema: Option<SubjectSchema>,
}

/// A schema that a registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectSchema {
    pub format: Format,
    pub subject: String,
    /// `None` is the latest at the start.
    pub version: Option<u32>,
}

/// A schema to register at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub subject: String,
    pub file: PathBuf,
    pub format: Format,
}

/// The schemas of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaConfig {
    pub registry: RegistryConfig,
    /// `None` passes the bytes.
    pub input_key: Option<InputFormat>,
    /// `None` passes the bytes.
    pub input_value: Option<InputFormat>,
    pub output_keys: Vec<OutputSchema>,
    pub output_values: Vec<OutputSchema>,
    pub register: Vec<Registration>,
    pub avro: AvroOptions,
    pub unknown_fields: UnknownFields,
}

/// Reads the URLs. The error has no credentials.
pub(crate) fn urls(text: &str) -> Read<Vec<RegistryUrl>> {
    text.split(',').map(|url| read_url(url.trim())).collect::<Option<_>>().ok_or_else(|| URLS_ALLOWED.to_owned())
}

fn read_url(text: &str) -> Option<RegistryUrl> {
    let given: Uri = text.parse().ok()?;
    let is_http = given.scheme() == Some(&Scheme::HTTP) || given.scheme() == Some(&Scheme::HTTPS);
    if !is_http || given.host().is_none_or(str::is_empty) || given.query().is_some() {
        return None;
    }
    let (server, authorization) = credentials::split(&given)?;
    let path = given.path().trim_end_matches('/');
    Some(RegistryUrl { url: format!("{}://{server}{path}", given.scheme_str()?), authorization })
}

fn format(text: &str) -> Option<Format> {
    Some(match text {
        "avro" => Format::Avro,
        "protobuf" => Format::Protobuf,
        "json-schema" => Format::JsonSchema,
        _ => return None,
    })
}

/// Reads the format of input keys or values; `None` is raw.
pub(crate) fn input(text: &str) -> Read<Option<InputFormat>> {
    match text {
        "raw" => Ok(None),
        "auto" => Ok(Some(InputFormat::Auto)),
        other => format(other).map(|format| Some(InputFormat::Only(format))).ok_or_else(|| INPUT_ALLOWED.to_owned()),
    }
}

/// Reads `[TOPIC=]FORMAT:SUBJECT[@VERSION]` or `[TOPIC=]raw`.
pub(crate) fn output(text: &str) -> Read<OutputSchema> {
    read_output(text).ok_or_else(|| OUTPUT_ALLOWED.to_owned())
}

fn read_output(text: &str) -> Option<OutputSchema> {
    // A subject can have an equals sign, a topic can't.
    let before_format = text.split(':').next().unwrap_or_default();
    let (topic, rest) = match before_format.split_once('=') {
        Some((topic, _)) => (Some(topic), &text[topic.len() + 1..]),
        None => (None, text),
    };
    if topic.is_some_and(str::is_empty) {
        return None;
    }
    let topic = topic.map(str::to_owned);
    if rest == "raw" {
        return Some(OutputSchema { topic, schema: None });
    }
    let (format_name, subject) = rest.split_once(':')?;
    let version = |text: &str| text.parse::<u32>().ok().filter(|version| *version > 0);
    let (subject, version) = match subject.rsplit_once('@') {
        Some((subject, text)) => (subject, Some(version(text)?)),
        None => (subject, None),
    };
    if subject.is_empty() {
        return None;
    }
    let schema = SubjectSchema { format: format(format_name)?, subject: subject.to_owned(), version };
    Some(OutputSchema { topic, schema: Some(schema) })
}

/// Reads `SUBJECT=FILE`.
pub(crate) fn registration(text: &str) -> Read<Registration> {
    let read = || {
        let (subject, file) = text.rsplit_once('=').filter(|(subject, _)| !subject.is_empty())?;
        let file = PathBuf::from(file);
        let format = match file.extension()?.to_str()? {
            "avsc" => Format::Avro,
            "proto" => Format::Protobuf,
            "json" => Format::JsonSchema,
            _ => return None,
        };
        Some(Registration { subject: subject.to_owned(), file, format })
    };
    read().ok_or_else(|| REGISTER_ALLOWED.to_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn credentials_of_the_registry_become_a_header_and_are_in_no_text() {
        let urls = urls("http://user:p%40ss@a:8081/apis/ccompat/v7/, https://b").unwrap();
        assert_eq!(
            format!("{urls:?} {}", urls[0]),
            "[http://a:8081/apis/ccompat/v7, https://b] http://a:8081/apis/ccompat/v7"
        );
        assert_eq!(urls[0].authorization, Some(format!("Basic {}", STANDARD.encode("user:p@ss"))));
        assert_eq!(urls[1].authorization, None);
        for text in [
            "",
            "localhost:8081",
            "http://",
            "ftp://a",
            "http://a:0",
            "http://a:x",
            "http://a,",
            "http://a?b=c",
            "http://u:%zz@a",
        ] {
            assert!(super::urls(text).unwrap_err().contains("such as http://localhost:8081"), "{text}");
        }
    }

    #[test]
    fn output_names_topic_format_subject_and_version() {
        let schema =
            |format, subject: &str, version| Some(SubjectSchema { format, subject: subject.to_owned(), version });
        let topic = |topic: &str| Some(topic.to_owned());
        for (text, expected) in [
            ("avro:a-value", OutputSchema { topic: None, schema: schema(Format::Avro, "a-value", None) }),
            (
                "other=protobuf:x@3",
                OutputSchema { topic: topic("other"), schema: schema(Format::Protobuf, "x", Some(3)) },
            ),
            (
                "json-schema:a:b=c@d@1",
                OutputSchema { topic: None, schema: schema(Format::JsonSchema, "a:b=c@d", Some(1)) },
            ),
            ("raw", OutputSchema { topic: None, schema: None }),
            ("other=raw", OutputSchema { topic: topic("other"), schema: None }),
        ] {
            assert_eq!(output(text), Ok(expected), "{text}");
        }
        for text in ["", "avro", "avro:", "xml:a", "avro:a@0", "avro:a@latest", "=avro:a", "avro:@1"] {
            assert!(output(text).unwrap_err().contains("avro:visits_reduced-value"), "{text}");
        }
    }

    #[test]
    fn registration_has_the_format_of_its_file() {
        let read = registration("a=b-value=schemas/visit.proto").unwrap();
        assert_eq!(
            (&*read.subject, read.file.to_str(), read.format),
            ("a=b-value", Some("schemas/visit.proto"), Format::Protobuf)
        );
        for text in ["visit.avsc", "=visit.avsc", "a=visit.xml", "a=visit", "a="] {
            assert!(registration(text).unwrap_err().contains("SUBJECT=FILE"), "{text}");
        }
    }
}
