//! Settings for repeated failures.

use super::Kind::{Duration, Number, Text, Whole};
use super::Standard::{Described, Value};
use super::{Setting, setting};

const HEADING: &str = "Failures";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "dead-letter-headers",
        "SET",
        Text,
        Value("compact"),
        "The headers of dead letters. compact: what neither the envelope nor the record has, in at most five headers. \
         connect: these and those of Kafka Connect (__connect.errors.*). full: version 1, with one header for each fact. \
         Each header costs CPU time and space",
    ),
    setting(
        HEADING,
        "breaker-after",
        "RECORDS",
        Whole,
        Value("100"),
        "Open the breaker of a worker after this many records in a row trapped, timed out or ran out of memory: the \
         plugin is broken, not the records. 0: never",
    ),
    setting(
        HEADING,
        "breaker-records",
        "WHAT",
        Text,
        Value("dead-letter"),
        "What happens to the records that open the breaker. dead-letter: each becomes a dead letter as it fails; a \
         transaction that has only these dead letters is aborted, and its records are mapped again. hold: they wait for \
         the next record that succeeds; if the breaker opens first, their offsets are not committed and they are mapped \
         again",
    ),
    setting(
        HEADING,
        "breaker-retry",
        "DURATION",
        Duration,
        Value("1s"),
        "How long a worker with an open breaker waits before it probes one record. The wait doubles after each failed \
         probe, up to one minute",
    ),
    setting(
        HEADING,
        "poison-after",
        "TIMES",
        Whole,
        Value("3"),
        "Make a record a dead letter, without another call of the plugin, after the host died this many times with that \
         record alone in the plugin. 0: never",
    ),
    setting(
        HEADING,
        "halt-on-error-ratio",
        "SHARE",
        Number,
        Described("never"),
        "End the host with exit code 5 when this share of the last records of a worker became dead letters, of whatever \
         kind",
    ),
    setting(
        HEADING,
        "error-ratio-window",
        "RECORDS",
        Whole,
        Value("1000"),
        "The number of records of a worker that --halt-on-error-ratio looks at. There is no check before there are as \
         many",
    ),
];
