//! The languages, with the plugins that are written in each and how a plugin fails in it.

/// What a language makes of a program that goes wrong.
pub(crate) struct Language {
    /// The program that does what its records say.
    pub(crate) commands: &'static str,
    /// The reference job.
    pub(crate) reduce_visit: &'static str,
    /// For each sin: the kinds of failure, and what its message or details have.
    pub(crate) sins: &'static [(&'static str, &'static [&'static str], &'static [&'static str])],
    /// Which errors of the reference data are its very texts.
    pub(crate) exact: Exact,
    /// The largest offset that it sees as it is.
    pub(crate) max_offset: i64,
}

/// Errors in the words of Python.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exact {
    All,
    /// Those of a time that is none.
    OfTimes,
    None,
}

pub(crate) const RUST: Language = Language {
    commands: "tests/guests/commands_batch",
    reduce_visit: "plugins/reduce_visit",
    sins: &[
        ("panic oh no", &["trap"], &["oh no", "commands.rs:"]),
        ("recurse", &["trap"], &["stack"]),
        ("allocate", &["trap", "out-of-memory"], &["memory"]),
        ("exit", &["trap"], &["exit"]),
        ("spin", &["timeout"], &[]),
    ],
    exact: Exact::OfTimes,
    max_offset: i64::MAX,
};

pub(crate) const PYTHON: Language = Language {
    commands: "tests/guests/commands_py",
    reduce_visit: "plugins/reduce_visit_py",
    sins: &[
        ("panic oh no", &["rejected"], &["RuntimeError: oh no", "commands_py.py\", line ", "in process"]),
        ("recurse", &["rejected"], &["RecursionError: ", "in recurse"]),
        ("allocate", &["rejected", "trap", "out-of-memory"], &[]),
        ("exit", &["trap"], &["exit"]),
        ("spin", &["timeout"], &[]),
    ],
    exact: Exact::All,
    max_offset: i64::MAX,
};

pub(crate) const GO: Language = Language {
    commands: "tests/guests/commands_go",
    reduce_visit: "plugins/reduce_visit_go",
    sins: &[
        ("panic oh no", &["rejected"], &["panic: oh no\n", "main.process(", "commands_go/main.go:"]),
        ("recurse", &["trap", "out-of-memory"], &["stack"]),
        ("allocate", &["trap", "out-of-memory"], &["memory"]),
        ("exit", &["trap"], &["exit"]),
        ("spin", &["timeout"], &[]),
    ],
    exact: Exact::None,
    max_offset: i64::MAX,
};

pub(crate) const JAVASCRIPT: Language = Language {
    commands: "tests/guests/commands_js",
    reduce_visit: "plugins/reduce_visit_js",
    sins: &[
        ("panic oh no", &["rejected"], &["RangeError: oh no", "at process (commands.js:54)"]),
        ("recurse", &["trap"], &["call stack exhausted"]),
        ("allocate", &["rejected", "trap", "out-of-memory"], &["memory"]),
        ("spin", &["timeout"], &[]),
    ],
    exact: Exact::None,
    max_offset: (1 << 53) - 1,
};

/// The engine and the SDK are those of JavaScript; what differs is the way there.
pub(crate) const TYPESCRIPT: Language = Language {
    commands: "tests/guests/commands_ts",
    reduce_visit: "plugins/reduce_visit_ts",
    sins: &[
        ("panic oh no", &["rejected"], &["Refusal: oh no", "at panic (commands.ts:34)", "at process (commands.ts:63)"]),
        ("recurse", &["trap"], &["call stack exhausted"]),
        ("allocate", &["rejected", "trap", "out-of-memory"], &["memory"]),
        ("spin", &["timeout"], &[]),
    ],
    ..JAVASCRIPT
};

pub(crate) const C: Language = Language {
    commands: "tests/guests/commands_c",
    reduce_visit: "plugins/reduce_visit_c",
    sins: &[
        ("panic oh no", &["trap"], &["guest output (tail): oh no", "map", "./commands.c:"]),
        ("say oh no", &["trap"], &["guest output (tail): oh no"]),
        ("assert", &["trap"], &["Assertion failed: 1 + 1 == 3 (commands.c: "]),
        ("null", &["trap"], &["unreachable", "commands.c"]),
        ("beyond", &["trap"], &["unreachable", "commands.c"]),
        ("recurse", &["trap"], &["out of bounds", "recurse"]),
        ("allocate", &["out-of-memory"], &["out of memory: no 1048576 bytes can be had", "hoard"]),
        ("hoard", &["out-of-memory"], &["out of memory: no 1048592 bytes can be had", "mapper_alloc"]),
        ("exit", &["trap"], &["exit"]),
        ("spin", &["timeout"], &[]),
    ],
    exact: Exact::OfTimes,
    max_offset: i64::MAX,
};
