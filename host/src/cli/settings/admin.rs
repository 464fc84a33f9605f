//! Settings of what is seen of the host from outside.

use super::Kind::Text;
use super::Standard::{Told, Value};
use super::{Setting, setting};

const HEADING: &str = "Admin";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "admin",
        "ADDRESS",
        Text,
        Value("127.0.0.1:8080"),
        "Where the admin server listens for HTTP: /livez, /readyz, /metrics and /status. Port 0 is any free one, and is \
         logged; off is no server. If the default is taken the host does without; any other that is taken is an error",
    ),
    setting(
        HEADING,
        "otlp-endpoint",
        "URL",
        Text,
        Told("OTEL_EXPORTER_OTLP_ENDPOINT if that is set, else off"),
        "Where spans go: an OpenTelemetry collector that takes OTLP over HTTP, such as http://localhost:4318; or off",
    ),
];
