//! Reads and checks the settings of the admin server and of spans.

use std::path::PathBuf;

use super::CliError;
use super::readers::path;
use super::sources::{Environment, Given, Sources};
use crate::config::AdminConfig;
use crate::config::admin::{self, address};
use crate::config::tracing::{base, whole};
use crate::config::values;
use mapper_api::payloads::Payloads;
use mapper_telemetry::spans::TracingConfig;

/// The default service name of spans.
const SERVICE: &str = "mapper-host";
/// The only supported protocol for spans.
const PROTOCOL: &str = "http/protobuf";

/// The address of the admin server, if there is one, and its token file.
pub(super) fn config(sources: &Sources<'_>) -> Result<(Option<AdminConfig>, Option<PathBuf>), CliError> {
    let given = sources.present("admin");
    let asked = given.explicit();
    let admin = given.read(address)?.map(|address| AdminConfig { address, asked });
    let token = sources.optional("admin-token-file", path)?;
    if token.is_none() && admin.is_some_and(|admin| !admin.address.ip().is_loopback()) {
        return Err(given.refuse(
            "anyone who can reach this address could swap the plugin; give --admin-token-file FILE, or an address of this \
             machine alone, such as 127.0.0.1:8080",
        ));
    }
    Ok((admin, token))
}

/// The path of a proxy before the server; empty for none.
pub(super) fn base_path(sources: &Sources<'_>) -> Result<String, CliError> {
    Ok(sources.optional("admin-base-path", admin::base_path)?.unwrap_or_default())
}

/// What the server gives out of records. By default all if only this machine can reach it.
pub(super) fn payloads(sources: &Sources<'_>, admin: Option<AdminConfig>) -> Result<Payloads, CliError> {
    let is_public = admin.is_some_and(|admin| !admin.address.ip().is_loopback());
    let given = sources.optional("admin-payloads", |text| values::one_of(text, &Payloads::ALL))?;
    Ok(given.unwrap_or(if is_public { Payloads::Mask } else { Payloads::Show }))
}

/// The destination of spans, from the setting or from the variables of OpenTelemetry.
pub(super) fn tracing(sources: &Sources<'_>) -> Result<Option<TracingConfig>, CliError> {
    let environment = sources.environment;
    let endpoint = match sources.find("otlp-endpoint") {
        Some(given) if given.text == "off" => None,
        Some(given) => Some(given.read(base)?),
        None => standard_endpoint(environment)?,
    };
    let Some(endpoint) = endpoint else { return Ok(None) };
    if let Some(given) = first(environment, ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"])
        && given.text != PROTOCOL
    {
        return Err(
            given.refuse(&format!("spans are sent as {PROTOCOL}; unset it, and give the port for that, 4318 usually"))
        );
    }
    let service = environment.standard("OTEL_SERVICE_NAME").map_or_else(|| SERVICE.to_owned(), |given| given.text);
    Ok(Some(TracingConfig { endpoint, service }))
}

/// The endpoint of the OpenTelemetry SDK configuration specification.
fn standard_endpoint(environment: &Environment) -> Result<Option<String>, CliError> {
    let is = |name, value: &str| environment.standard(name).is_some_and(|given| given.text.eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    match environment.standard("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        Some(given) => given.read(whole).map(Some),
        None => environment.standard("OTEL_EXPORTER_OTLP_ENDPOINT").map(|given| given.read(base)).transpose(),
    }
}

fn first(environment: &Environment, names: [&str; 2]) -> Option<Given> {
    names.into_iter().find_map(|name| environment.standard(name))
}
