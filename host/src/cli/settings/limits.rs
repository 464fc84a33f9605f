//! Settings of what the work may take.

use super::Kind::{Duration, Size, Whole};
use super::Standard::{Told, Value};
use super::{Setting, setting};

const HEADING: &str = "Limits";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "workers",
        "N",
        Whole,
        Value("2"),
        "Threads that map, each with a consumer and an instance of its own; \
         more than the input has partitions are idle. The default is the parallelism of the reference job",
    ),
    setting(HEADING, "batch-records", "N", Whole, Value("500"), "Records the plugin is given in one call, at most"),
    setting(
        HEADING,
        "record-timeout",
        "DURATION",
        Duration,
        Value("1s"),
        "How long the plugin may take over one record; beyond, the record is a dead letter",
    ),
    setting(
        HEADING,
        "memory-limit",
        "SIZE",
        Size,
        Value("64MiB"),
        "Memory of the plugin, per worker; a record that takes more is a dead letter",
    ),
    setting(
        HEADING,
        "output-limit",
        "SIZE",
        Size,
        Value("16MiB"),
        "What the plugin may return for one record; beyond, the record is a dead letter. A batch that returns more is taken \
         in parts",
    ),
    setting(HEADING, "stack-limit", "SIZE", Size, Value("512KiB"), "Call stack of the plugin"),
    setting(HEADING, "table-limit", "N", Whole, Value("100000"), "Elements of the tables of the plugin"),
    setting(
        HEADING,
        "recycle-after",
        "RECORDS",
        Whole,
        Told("not for that reason"),
        "Renew the plugin's instance after this many records, and lose its state; it is renewed in any case when its memory \
         comes near the limit",
    ),
    setting(
        HEADING,
        "compile-timeout",
        "DURATION",
        Duration,
        Value("60s"),
        "CPU time that compiling a plugin may take, on all CPUs together; on a busy machine it may wait ten times as long for them. \
         Beyond, the plugin is refused",
    ),
    setting(
        HEADING,
        "compile-memory",
        "SIZE",
        Size,
        Value("1GiB"),
        "Memory that compiling a plugin may take; beyond, the plugin is refused",
    ),
];
