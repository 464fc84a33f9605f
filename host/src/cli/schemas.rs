//! Reads the settings of the schema registry.

use mapper_schemas::{AvroOptions, Longs, Times, UnknownFields};

use super::CliError;
use super::readers::path;
use super::sources::Sources;
use crate::config::{RegistryConfig, SchemaConfig, schemas};

const NO_REGISTRY: &str = "it needs a schema registry, given with --schema-registry URL";
/// The settings without an effect if there is no registry.
const NEED_REGISTRY: [&str; 11] = [
    "input-value",
    "input-key",
    "output-value",
    "output-key",
    "avro-times",
    "avro-longs",
    "protobuf-unknown-fields",
    "schema-registry-token-file",
    "schema-registry-ca",
    "schema-registry-cert",
    "schema-registry-key",
];

/// Reads and checks the settings of a run; `None` without a registry.
///
/// # Errors
/// The first setting that is wrong.
pub(super) fn config(sources: &Sources<'_>) -> Result<Option<SchemaConfig>, CliError> {
    let registrations = sources.list("register-schema");
    let Some(config) = config_without_registrations(sources)? else {
        return match registrations.into_iter().next() {
            Some(given) => Err(given.refuse(NO_REGISTRY)),
            None => Ok(None),
        };
    };
    let register = registrations.iter().map(|given| given.read(schemas::registration)).collect::<Result<_, _>>()?;
    Ok(Some(SchemaConfig { register, ..config }))
}

/// The same for a command that registers nothing.
///
/// # Errors
/// The first setting that is wrong.
pub(super) fn config_without_registrations(sources: &Sources<'_>) -> Result<Option<SchemaConfig>, CliError> {
    let Some(registry) = sources.find("schema-registry") else {
        let given = NEED_REGISTRY.iter().filter_map(|name| sources.find(name)).find(|given| given.explicit());
        let listed = NEED_REGISTRY.iter().filter_map(|name| sources.list(name).into_iter().next()).next();
        return match given.or(listed) {
            Some(given) => Err(given.refuse(NO_REGISTRY)),
            None => Ok(None),
        };
    };
    let urls = registry.read_secret(schemas::urls)?;
    let identity = match (sources.find("schema-registry-cert"), sources.find("schema-registry-key")) {
        (Some(certificate), Some(key)) => Some((certificate.read(path)?, key.read(path)?)),
        (Some(alone), None) => {
            return Err(alone.refuse("it needs --schema-registry-key FILE, the key of the certificate"));
        }
        (None, Some(alone)) => {
            return Err(alone.refuse("it needs --schema-registry-cert FILE, the certificate of the key"));
        }
        (None, None) => None,
    };
    let token_file = sources.optional("schema-registry-token-file", path)?;
    if token_file.is_some() && urls.iter().any(|url| url.authorization.is_some()) {
        return Err(sources
            .present("schema-registry-token-file")
            .refuse("the URL has a user and a password, too. Give one of them"));
    }
    let list = |name: &'static str| sources.list(name);
    Ok(Some(SchemaConfig {
        registry: RegistryConfig { urls, token_file, ca_file: sources.optional("schema-registry-ca", path)?, identity },
        input_key: sources.value("input-key", schemas::input)?,
        input_value: sources.value("input-value", schemas::input)?,
        output_keys: list("output-key").iter().map(|given| given.read(schemas::output)).collect::<Result<_, _>>()?,
        output_values: list("output-value")
            .iter()
            .map(|given| given.read(schemas::output))
            .collect::<Result<_, _>>()?,
        register: Vec::new(),
        avro: AvroOptions { times: sources.value("avro-times", times)?, longs: sources.value("avro-longs", longs)? },
        unknown_fields: sources.value("protobuf-unknown-fields", unknown_fields)?,
    }))
}

fn times(text: &str) -> Result<Times, String> {
    match text {
        "iso" => Ok(Times::Iso),
        "epoch" => Ok(Times::Epoch),
        _ => Err("give iso or epoch".to_owned()),
    }
}

fn longs(text: &str) -> Result<Longs, String> {
    match text {
        "number" => Ok(Longs::Number),
        "string" => Ok(Longs::String),
        _ => Err("give number or string".to_owned()),
    }
}

fn unknown_fields(text: &str) -> Result<UnknownFields, String> {
    match text {
        "refuse" => Ok(UnknownFields::Refuse),
        "keep" => Ok(UnknownFields::Keep),
        _ => Err("give refuse or keep".to_owned()),
    }
}
