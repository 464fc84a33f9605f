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
        "End the process when the first of several pipelines halts. Otherwise the others continue, and the host restarts the halted \
         pipeline if that can help",
    ),
    setting(
        HEADING,
        "memory-budget",
        "SIZE",
        Size,
        Described("the sum of the limits of the pipeline"),
        "The memory limit of the pipeline for instances, batches and the buffers of its clients. The host refuses limits whose sum is \
         larger",
    ),
];
