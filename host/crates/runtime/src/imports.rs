//! Classifies the imports of a component: provided, restricted or unsupported.

use super::contract::PACKAGE;

/// An import of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// For example `wasi:clocks/wall-clock@0.2.6`.
    pub name: String,
    pub access: Access,
    /// Describes the import and, if it is unsupported, how to avoid it.
    pub about: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Provided,
    /// Provided, but empty without a grant. Language runtimes import it even if they don't use it.
    Restricted,
    /// The host rejects a component that imports it.
    Unsupported,
}

impl Access {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provided => "provided",
            Self::Restricted => "restricted",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Prefix, access and description. The first matching prefix applies.
const RULES: &[(&str, Access, &str)] = &[
    ("mapper-host:mapper/types", Access::Provided, "the types of the contract"),
    ("mapper-host:mapper/logging", Access::Provided, "writes to the host's log"),
    ("mapper-host:mapper/progress", Access::Provided, "reports the current record of a batch"),
    ("wasi:cli/environment", Access::Restricted, "environment variables: only those of --allow-env"),
    ("wasi:cli/exit", Access::Provided, "ends the instance and fails the record"),
    ("wasi:cli/stdin", Access::Restricted, "standard input: empty"),
    ("wasi:cli/stdout", Access::Provided, "writes to the host's log"),
    ("wasi:cli/stderr", Access::Provided, "writes to the host's log"),
    ("wasi:cli/terminal-", Access::Restricted, "terminal: always absent"),
    ("wasi:clocks/wall-clock", Access::Provided, "wall clock; fixed with --deterministic"),
    ("wasi:clocks/monotonic-clock", Access::Provided, "monotonic clock and sleep, limited by --record-timeout"),
    ("wasi:filesystem/", Access::Restricted, "files: only those in the directories of --allow-dir"),
    ("wasi:io/", Access::Provided, "streams and polling, limited by --record-timeout"),
    ("wasi:random/", Access::Provided, "random numbers; seeded by the record with --deterministic"),
    ("wasi:sockets/", Access::Restricted, "sockets and name lookup: always denied"),
    (
        "wasi:http/",
        Access::Unsupported,
        "HTTP: a plugin has no network access; build it without HTTP (JavaScript: without http and fetch)",
    ),
    ("wasi:config/", Access::Unsupported, "configuration: a plugin receives its settings in configure (--set)"),
    ("wasi:", Access::Unsupported, "not provided by this host; build the plugin without it"),
    (PACKAGE, Access::Unsupported, "not in the contract of this host; build the plugin with wit/ of this release"),
    ("", Access::Unsupported, "unknown; a plugin can import only WASI 0.2 and the contract (wit/mapper.wit)"),
];

/// The supported WASI version. Releases of 0.2 are compatible with each other.
const WASI_VERSION: &str = "0.2.";

impl Import {
    pub(super) fn classify(name: &str) -> Self {
        let (_, access, about) = RULES
            .iter()
            .find(|(prefix, ..)| name.starts_with(prefix))
            .copied()
            .unwrap_or_else(|| unreachable!("the last prefix is empty"));
        let version = name.split_once('@').map(|(_, version)| version);
        let is_other_wasi = access != Access::Unsupported
            && name.starts_with("wasi:")
            && !version.is_some_and(|version| version.starts_with(WASI_VERSION));
        let (access, about) = if is_other_wasi {
            (Access::Unsupported, "another version of WASI: this host provides 0.2; build the plugin for wasm32-wasip2")
        } else {
            (access, about)
        };
        Self { name: name.to_owned(), access, about }
    }
}

/// # Errors
/// The unsupported imports.
pub(super) fn check(imports: &[Import]) -> Result<(), String> {
    let unsupported: Vec<String> = imports
        .iter()
        .filter(|import| import.access == Access::Unsupported)
        .map(|import| format!("{} ({})", import.name, import.about))
        .collect();
    if unsupported.is_empty() { Ok(()) } else { Err(format!("unsupported imports: {}", unsupported.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_classified_by_prefix_and_wasi_version() {
        for (name, access, words) in [
            ("mapper-host:mapper/logging@1.0.0", Access::Provided, "log"),
            ("wasi:clocks/wall-clock@0.2.6", Access::Provided, "wall clock"),
            ("wasi:clocks/wall-clock@0.2.99", Access::Provided, "wall clock"),
            ("wasi:filesystem/preopens@0.2.6", Access::Restricted, "--allow-dir"),
            ("wasi:sockets/tcp@0.2.6", Access::Restricted, "denied"),
            ("wasi:cli/terminal-stdout@0.2.6", Access::Restricted, "terminal"),
            ("wasi:clocks/wall-clock@0.3.0", Access::Unsupported, "another version of WASI"),
            ("wasi:clocks/wall-clock", Access::Unsupported, "another version of WASI"),
            ("wasi:http/outgoing-handler@0.2.6", Access::Unsupported, "no network access"),
            ("wasi:keyvalue/store@0.2.0", Access::Unsupported, "not provided by this host"),
            ("mapper-host:mapper/metrics@1.1.0", Access::Unsupported, "not in the contract"),
            ("acme:secrets/store", Access::Unsupported, "unknown;"),
            ("read-file", Access::Unsupported, "unknown;"),
        ] {
            let import = Import::classify(name);
            assert_eq!((import.access, import.name.as_str()), (access, name));
            assert!(import.about.contains(words), "{name}: {}", import.about);
        }
    }

    #[test]
    fn error_names_every_unsupported_import() {
        let imports = ["wasi:io/poll@0.2.6", "wasi:http/types@0.2.6", "a:b/c"].map(Import::classify);
        assert_eq!(check(&imports[..1]), Ok(()));
        let error = check(&imports).expect_err("two imports are unsupported");
        assert!(error.contains("wasi:http/types@0.2.6 (HTTP") && error.contains("; a:b/c (unknown"), "{error}");
        assert!(!error.contains("wasi:io"), "{error}");
    }
}
