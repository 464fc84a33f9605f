//! The endpoint of spans.

use super::values::Read;

/// The path of spans below a base endpoint (OpenTelemetry Protocol Exporter specification).
const SPANS: &str = "v1/traces";

/// The URL for spans below this endpoint.
pub(crate) fn base(text: &str) -> Read<String> {
    let url = whole(text)?;
    Ok(format!("{}/{SPANS}", url.trim_end_matches('/')))
}

/// The URL of an endpoint for spans only.
pub(crate) fn whole(text: &str) -> Read<String> {
    let allowed = "give the URL of an OpenTelemetry collector, such as http://localhost:4318";
    if text.starts_with("https://") {
        return Err(format!("{allowed}; for TLS, run a collector on this machine that forwards the spans"));
    }
    let rest = text.strip_prefix("http://").unwrap_or_default();
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if rest.is_empty() || rest.starts_with(['/', ':', '?']) || rest.contains(odd) {
        return Err(allowed.to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_endpoint_is_a_url_without_tls() {
        for text in ["http://localhost:4318", "http://localhost:4318/"] {
            assert_eq!(base(text).as_deref(), Ok("http://localhost:4318/v1/traces"));
        }
        assert_eq!(base("http://c/otlp").as_deref(), Ok("http://c/otlp/v1/traces"));
        assert_eq!(whole("http://c/spans").as_deref(), Ok("http://c/spans"));
        for text in ["", "localhost:4318", "http://", "http:///x", "http://:1", "http://a b", "grpc://c"] {
            assert!(base(text).is_err_and(|allowed| allowed.contains("http://localhost:4318")), "{text}");
        }
        assert!(base("https://c:4318").is_err_and(|allowed| allowed.contains("TLS")));
    }
}
