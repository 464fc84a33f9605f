//! Settings of hot swaps.

use super::Kind::{Number, Text, Whole};
use super::Standard::{Described, Value};
use super::{Setting, setting};

const HEADING: &str = "Hot swap";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "watch",
        "ON_OFF",
        Text,
        Described("on in the demo, off with --brokers"),
        "on: the host tries out and swaps in the plugin file whenever its content changes, also by mapper-host build. \
         off: only mapper-host swap, mapper-host rollback and SIGHUP change the version",
    ),
    setting(
        HEADING,
        "swap-max-regressions",
        "N",
        Whole,
        Value("0"),
        "The number of broken records that a try-out accepts: they succeed with the active version and fail with the new one. \
         With more, or with any trap or timeout, the host refuses the version",
    ),
    setting(
        HEADING,
        "probation",
        "RECORDS",
        Whole,
        Value("1000"),
        "The number of records on which the host watches a new version. If the version traps, times out or fails too \
         often, the host returns to the version before. 0: no probation",
    ),
    setting(
        HEADING,
        "probation-tolerance",
        "SHARE",
        Number,
        Value("0.05"),
        "By how much the share of dead letters in probation may exceed the share before it, 0 to 1",
    ),
    setting(
        HEADING,
        "provenance",
        "WHERE",
        Text,
        Value("off"),
        "headers: each output names the version that made it, in the headers mapper-host.plugin.digest and \
         mapper-host.plugin.version, and its input, in the header mapper-host.input. off: only dead letters do",
    ),
];
