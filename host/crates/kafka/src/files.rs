//! Checks files that librdkafka reads, such as certificates. librdkafka would block for ever on a named pipe.

use std::io::ErrorKind;
use std::path::Path;

use mapper_core::shutdown::{Cause, Halt};
use mapper_state::files;

/// The properties with a path (CONFIGURATION.md of librdkafka).
const FILES: [&str; 9] = [
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.crl.location",
    "ssl.key.location",
    "ssl.keystore.location",
];

/// Checks the files of the properties. librdkafka itself reports a missing file, and some properties allow a directory.
///
/// # Errors
/// If a file is a named pipe, a device or another special file.
pub(super) fn check(properties: &[(String, String)]) -> Result<(), Halt> {
    for (key, path) in properties.iter().filter(|(key, _)| FILES.contains(&key.as_str())) {
        match files::open(Path::new(path)) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return Err(Halt::new(
                    Cause::Configuration,
                    anyhow::Error::new(error).context(format!("the property {key}: {path}")),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_pipe_in_a_property_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        let fifo = fifo.display().to_string();
        let check = |key: &str, path: &str| check(&[(key.to_owned(), path.to_owned())]);
        for key in FILES {
            let halt = check(key, &fifo).unwrap_err();
            assert!(halt.reason().contains(key) && halt.reason().contains("a named pipe (FIFO)"), "{halt}");
            assert_eq!(halt.cause.exit_code(), 2);
        }
        for (key, path) in [
            ("ssl.ca.location", "/"),
            ("ssl.ca.location", "probe"),
            ("ssl.key.location", "/none"),
            ("client.id", &fifo),
        ] {
            check(key, path).unwrap();
        }
    }
}
