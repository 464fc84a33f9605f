//! What a component may import, what for, and what is said of everything else.

use super::contract::PACKAGE;

/// An import of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its name, such as `wasi:clocks/wall-clock@0.2.6`.
    pub name: String,
    /// What a plugin gets of it.
    pub access: Access,
    /// What it is, and what can be done about it, in words.
    pub about: &'static str,
}

/// What a plugin gets of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// All of it.
    Given,
    /// Nothing but what was granted by name: run-time systems of languages import it whether they use it or not.
    Empty,
    /// A component that imports it is refused.
    Refused,
}

/// By how a name starts; what comes first counts.
const KNOWN: &[(&str, Access, &str)] = &[
    ("mapper-host:mapper/types", Access::Given, "the types of the contract"),
    ("mapper-host:mapper/logging", Access::Given, "lines for the host's log"),
    ("mapper-host:mapper/progress", Access::Given, "says which record of a batch is next"),
    ("wasi:cli/environment", Access::Empty, "variables and arguments: none but those of --allow-env"),
    ("wasi:cli/exit", Access::Given, "ends the instance, which fails the record"),
    ("wasi:cli/stdin", Access::Empty, "an input that is at its end"),
    ("wasi:cli/stdout", Access::Given, "lines for the host's log"),
    ("wasi:cli/stderr", Access::Given, "lines for the host's log"),
    ("wasi:cli/terminal-", Access::Empty, "a terminal: there is none"),
    ("wasi:clocks/wall-clock", Access::Given, "the time of day; it stands still with --deterministic"),
    ("wasi:clocks/monotonic-clock", Access::Given, "a clock and sleep, no longer than --record-timeout"),
    ("wasi:filesystem/", Access::Empty, "files: none but those in the folders of --allow-dir"),
    ("wasi:io/", Access::Given, "streams, and waiting for them, no longer than --record-timeout"),
    ("wasi:random/", Access::Given, "random numbers; the same for the same record with --deterministic"),
    ("wasi:sockets/", Access::Empty, "sockets and names of hosts: every one is denied"),
    (
        "wasi:http/",
        Access::Refused,
        "HTTP: a plugin is not given a network; build it without (JavaScript: without http and fetch)",
    ),
    ("wasi:config/", Access::Refused, "configuration: a plugin gets its settings through configure (--set)"),
    ("wasi:", Access::Refused, "a part of WASI that this host has not; build the plugin without it"),
    (
        PACKAGE,
        Access::Refused,
        "no part of the contract that this host speaks; build the plugin against wit/ of this release",
    ),
    ("", Access::Refused, "unknown to this host; a plugin can import only WASI 0.2 and the contract (wit/mapper.wit)"),
];

/// The version of WASI that is given; all releases of 0.2 are one to a component.
const WASI: &str = "0.2.";

impl Import {
    /// An import by its name.
    pub(super) fn of(name: &str) -> Self {
        let (_, access, about) = KNOWN
            .iter()
            .find(|(start, ..)| name.starts_with(start))
            .copied()
            .unwrap_or_else(|| unreachable!("the last start is empty"));
        let version = name.split_once('@').map(|(_, version)| version);
        let other_wasi = access != Access::Refused
            && name.starts_with("wasi:")
            && !version.is_some_and(|version| version.starts_with(WASI));
        let (access, about) = if other_wasi {
            (Access::Refused, "another version of WASI: this host has 0.2; build the plugin for wasm32-wasip2")
        } else {
            (access, about)
        };
        Self { name: name.to_owned(), access, about }
    }
}

/// Why a component with these imports can't be a plugin; `None` when none of them is refused.
pub(super) fn refusal(imports: &[Import]) -> Option<String> {
    let refused: Vec<String> = imports
        .iter()
        .filter(|import| import.access == Access::Refused)
        .map(|import| format!("{} ({})", import.name, import.about))
        .collect();
    (!refused.is_empty()).then(|| format!("it imports what a plugin is not given: {}", refused.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_what_is_empty_and_what_is_refused() {
        for (name, access, words) in [
            ("mapper-host:mapper/logging@1.0.0", Access::Given, "log"),
            ("wasi:clocks/wall-clock@0.2.6", Access::Given, "time of day"),
            ("wasi:clocks/wall-clock@0.2.99", Access::Given, "time of day"),
            ("wasi:filesystem/preopens@0.2.6", Access::Empty, "--allow-dir"),
            ("wasi:sockets/tcp@0.2.6", Access::Empty, "denied"),
            ("wasi:cli/terminal-stdout@0.2.6", Access::Empty, "terminal"),
            ("wasi:clocks/wall-clock@0.3.0", Access::Refused, "another version of WASI"),
            ("wasi:clocks/wall-clock", Access::Refused, "another version of WASI"),
            ("wasi:http/outgoing-handler@0.2.6", Access::Refused, "not given a network"),
            ("wasi:keyvalue/store@0.2.0", Access::Refused, "part of WASI that this host has not"),
            ("mapper-host:mapper/metrics@1.1.0", Access::Refused, "no part of the contract"),
            ("acme:secrets/store", Access::Refused, "unknown to this host"),
            ("read-file", Access::Refused, "unknown to this host"),
        ] {
            let import = Import::of(name);
            assert_eq!((import.access, import.name.as_str()), (access, name));
            assert!(import.about.contains(words), "{name}: {}", import.about);
        }
    }

    #[test]
    fn every_refused_import_is_named() {
        let imports = ["wasi:io/poll@0.2.6", "wasi:http/types@0.2.6", "a:b/c"].map(Import::of);
        assert_eq!(refusal(&imports[..1]), None);
        let refusal = refusal(&imports).expect("two of them are refused");
        assert!(refusal.contains("wasi:http/types@0.2.6 (HTTP") && refusal.contains("; a:b/c (unknown"), "{refusal}");
        assert!(!refusal.contains("wasi:io"), "{refusal}");
    }
}
