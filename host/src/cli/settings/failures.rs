//! Settings of what is done when a plugin fails again and again.

use super::Kind::{Duration, Number, Text, Whole};
use super::Standard::{Told, Value};
use super::{Setting, setting};

const HEADING: &str = "Failures";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "breaker-after",
        "RECORDS",
        Whole,
        Value("100"),
        "Stop a worker when this many records in a row trapped, timed out or ran out of memory: the plugin is broken then, \
         not the records. 0: never",
    ),
    setting(
        HEADING,
        "breaker-records",
        "WHAT",
        Text,
        Value("dead-letter"),
        "What becomes of the records that stop a worker. dead-letter: they are dead letters as they fail. hold: they wait for \
         the next record that passes, and if the worker stops before, they come again once the plugin is mended",
    ),
    setting(
        HEADING,
        "breaker-retry",
        "DURATION",
        Duration,
        Value("1s"),
        "How long a worker that stopped waits before it tries one record; twice as long after each time in vain, up to a minute",
    ),
    setting(
        HEADING,
        "poison-after",
        "TIMES",
        Whole,
        Value("3"),
        "Make a record a dead letter, and give it to the plugin no more, when the host died this often while the plugin had \
         that record alone. 0: never",
    ),
    setting(
        HEADING,
        "halt-on-error-ratio",
        "SHARE",
        Number,
        Told("never"),
        "End the host, with exit code 5, when this share of the last records became dead letters, of whatever kind",
    ),
    setting(
        HEADING,
        "error-ratio-window",
        "RECORDS",
        Whole,
        Value("1000"),
        "How many records of a worker --halt-on-error-ratio looks at; it is not looked at before there were as many",
    ),
];
