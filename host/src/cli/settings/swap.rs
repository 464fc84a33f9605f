//! Settings of how versions of the plugin are swapped.

use super::Kind::{Number, Text, Whole};
use super::Standard::{Told, Value};
use super::{Setting, setting};

const HEADING: &str = "Swapping";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "watch",
        "ON_OFF",
        Text,
        Told("on in the demo, off with --brokers"),
        "on: when the plugin file changes and is whole, its content is tried out and swapped in, so that whatever writes the file \
         deploys, mapper-host build too. off: only SIGHUP, mapper-host swap and mapper-host rollback do that",
    ),
    setting(
        HEADING,
        "swap-max-regressions",
        "N",
        Whole,
        Value("0"),
        "How many of the last records that passed may fail with a new version; with more, or any trap or timeout, it is refused",
    ),
    setting(
        HEADING,
        "probation",
        "RECORDS",
        Whole,
        Value("1000"),
        "How many records a new version is watched for: if it traps or times out, or fails too often, the host returns to the \
         version before. 0 is no probation",
    ),
    setting(
        HEADING,
        "probation-tolerance",
        "SHARE",
        Number,
        Value("0.05"),
        "By how much the share of dead letters may be higher in probation than it was before, 0 to 1",
    ),
    setting(
        HEADING,
        "provenance",
        "WHERE",
        Text,
        Value("off"),
        "headers: each output says in its headers mapper-host.plugin.digest and mapper-host.plugin.version which version made \
         it, as dead letters always do. off: outputs do not",
    ),
];
