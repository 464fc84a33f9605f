//! Settings of the admin server, of traces and of alerts.

use super::Kind::Text;
use super::Standard::{Described, Empty, Value};
use super::{Setting, setting};

pub(super) const HEADING: &str = "Admin";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "admin",
        "ADDRESS",
        Text,
        Value("127.0.0.1:8080"),
        "The address of the admin server (HTTP). Port 0 takes a free port and logs it; off starts no server. If the \
         default address is in use, the host runs without the server; any other address in use is an error",
    ),
    ADMIN_TOKEN_FILE,
    setting(
        HEADING,
        "admin-base-path",
        "PATH",
        Text,
        Empty,
        "The path under which a proxy shows the admin server, such as /mapper. Links of the console begin with it, and the \
         server answers below it, too, so the proxy may keep it or remove it",
    ),
    setting(
        HEADING,
        "admin-payloads",
        "MODE",
        Text,
        Described("show; mask if other machines can reach the server"),
        "What the admin server and its console give out of records, of failure messages and of logs of plugins: show, all; mask, \
         lengths, types and names of JSON fields; off, nothing",
    ),
    setting(
        HEADING,
        "otlp-endpoint",
        "URL",
        Text,
        Described("OTEL_EXPORTER_OTLP_ENDPOINT if that is set, else off"),
        "The OpenTelemetry collector to send spans to, as OTLP over HTTP, such as http://localhost:4318; or off",
    ),
    setting(
        HEADING,
        "alert-webhook",
        "URL",
        Text,
        Empty,
        "The URL to post new groups of failures to, as JSON: https://, or http:// of this machine. No message shows its \
         credentials, its path or its query. Prefer the variable or the settings file: other users can see flags",
    ),
];

pub(super) const ADMIN_TOKEN_FILE: Setting = setting(
    HEADING,
    "admin-token-file",
    "FILE",
    Text,
    Empty,
    "A file whose first line is the token for requests that change something (Authorization: Bearer TOKEN). Only \
         this user may be able to read it. It is required if the server listens on an address that other machines can \
         reach",
);

pub(super) const ADMIN_OF_HOST: Setting = setting(
    HEADING,
    "admin",
    "URL",
    Text,
    Value("127.0.0.1:8080"),
    "The admin server of the running host: the address that host was given as --admin, or a URL such as http://10.0.0.7:8080",
);
