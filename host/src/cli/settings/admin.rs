//! Settings of what is seen of the host from outside.

use super::Kind::Text;
use super::Standard::{Empty, Told, Value};
use super::{Setting, setting};

const HEADING: &str = "Admin";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "admin",
        "ADDRESS",
        Text,
        Value("127.0.0.1:8080"),
        "Where the admin server listens for HTTP: /livez, /readyz, /metrics, /status, and what mapper-host swap asks for. Port 0 is any free one, and is \
         logged; off is no server. If the default is taken the host does without; any other that is taken is an error",
    ),
    ADMIN_TOKEN_FILE,
    setting(
        HEADING,
        "otlp-endpoint",
        "URL",
        Text,
        Told("OTEL_EXPORTER_OTLP_ENDPOINT if that is set, else off"),
        "Where spans go: an OpenTelemetry collector that takes OTLP over HTTP, such as http://localhost:4318; or off",
    ),
];

pub(super) const ADMIN_TOKEN_FILE: Setting = setting(
    HEADING,
    "admin-token-file",
    "FILE",
    Text,
    Empty,
    "A file whose first line is what must be shown to change anything through the admin server (Authorization: Bearer …). \
     Only this user may be able to read it. It must be given when the server listens beyond this machine",
);

pub(super) const ADMIN_OF_HOST: Setting = setting(
    HEADING,
    "admin",
    "URL",
    Text,
    Value("127.0.0.1:8080"),
    "Where the admin server of the running host listens: what it was given as --admin, or a URL such as http://10.0.0.7:8080",
);
