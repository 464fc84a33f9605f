//! Settings of how several pipelines run in one process.

use super::Kind::{Size, Switch};
use super::Standard::{Described, Value};
use super::{Setting, setting};

const HEADING: &str = "Pipelines";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "fail-fast",
        "BOOL",
        Switch,
        Value("false"),
        "End the process when the first of several pipelines halts. Without it the others go on, and the one that halted is started \
         again if that can help",
    ),
    setting(
        HEADING,
        "memory-budget",
        "SIZE",
        Size,
        Described("what the limits of the pipeline add up to"),
        "The most memory that the pipeline may use for instances, batches, and the buffers of its clients. The host refuses limits that \
         add up to more",
    ),
];
