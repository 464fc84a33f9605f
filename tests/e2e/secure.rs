//! A Kafka with users, permissions and certificates, shared by the tests that need them.

use std::path::Path;
use std::sync::OnceLock;

use harness::secure::{PASSWORD, Secure};

/// The users: one for each test, or for each row of a table.
pub(crate) const USERS: [&str; 18] = [
    "tls",
    "all",
    "no-describe",
    "no-read",
    "no-group",
    "no-output",
    "no-letters",
    "no-id",
    "no-id-write",
    "no-create",
    "no-id-needed",
    "lost-output",
    "lost-input",
    "lost-group",
    "lost-id",
    "no-states",
    "no-state-topic",
    "nobody",
];

/// The broker.
pub(crate) fn secure() -> &'static Secure {
    static SHARED: OnceLock<Result<Secure, String>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| Secure::start(&USERS).map_err(|error| format!("{error:#}")));
    shared.as_ref().unwrap_or_else(|error| panic!("no Kafka with permissions to test against: {error}"))
}

/// The properties of a user with this password, without those of TLS.
pub(crate) fn login(user: &str, password: &str) -> Vec<String> {
    [
        "security.protocol=sasl_plaintext".to_owned(),
        "sasl.mechanism=PLAIN".to_owned(),
        format!("sasl.username={user}"),
        format!("sasl.password={password}"),
    ]
    .into_iter()
    .flat_map(|property| ["--kafka".to_owned(), property])
    .collect()
}

/// The properties of TLS that trust this CA.
pub(crate) fn trusting(ca: &Path, protocol: &str) -> Vec<String> {
    let properties = [format!("security.protocol={protocol}"), format!("ssl.ca.location={}", ca.display())];
    properties.into_iter().flat_map(|property| ["--kafka".to_owned(), property]).collect()
}

/// The right properties of a user.
pub(crate) fn logged_in(user: &str) -> Vec<String> {
    login(user, PASSWORD)
}
