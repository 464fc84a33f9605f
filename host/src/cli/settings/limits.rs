//! Limits of the plugin.

use super::Kind::{Duration, Size, Whole};
use super::Standard::{Described, Value};
use super::{Setting, setting};

const HEADING: &str = "Limits";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "workers",
        "N",
        Whole,
        Described("2 with --brokers, 1 in the demo"),
        "Threads that map. Each has its own consumer, producer and plugin instance. More workers than input partitions \
         stay idle",
    ),
    setting(
        HEADING,
        "batch-records",
        "N",
        Whole,
        Value("500"),
        "The largest number of records in one call of the plugin",
    ),
    setting(
        HEADING,
        "record-timeout",
        "DURATION",
        Duration,
        Value("1s"),
        "The time limit of the plugin for one record. A record that takes longer becomes a dead letter",
    ),
    setting(
        HEADING,
        "memory-limit",
        "SIZE",
        Size,
        Value("64MiB"),
        "The memory limit of the plugin, per worker. A record that needs more becomes a dead letter",
    ),
    setting(
        HEADING,
        "output-limit",
        "SIZE",
        Size,
        Value("16MiB"),
        "The size limit of the outputs of one record. A record with more becomes a dead letter. A batch with more is \
         mapped in parts",
    ),
    setting(HEADING, "stack-limit", "SIZE", Size, Value("512KiB"), "The call stack of the plugin"),
    setting(HEADING, "table-limit", "N", Whole, Value("100000"), "The number of elements in the tables of the plugin"),
    setting(
        HEADING,
        "recycle-after",
        "RECORDS",
        Whole,
        Described("never"),
        "Replace the plugin instance after this many records, which loses its state. The host also replaces an instance \
         whose memory comes near the limit",
    ),
    setting(
        HEADING,
        "compile-timeout",
        "DURATION",
        Duration,
        Value("60s"),
        "The CPU time for compiling a plugin, summed over all CPUs. On a busy machine the wall-clock limit is ten times \
         as long. A plugin that takes longer is refused",
    ),
    setting(
        HEADING,
        "compile-memory",
        "SIZE",
        Size,
        Value("1GiB"),
        "The memory for compiling a plugin. A plugin that needs more is refused",
    ),
];
