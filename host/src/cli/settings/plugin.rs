//! Settings of the plugin.

use super::Kind::{Pairs, Text};
use super::Standard::{Empty, Required, Told};
use super::{Setting, setting};

const HEADING: &str = "Plugin";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "plugin",
        "FILE",
        Text,
        Required,
        "The plugin, a WebAssembly component, such as \
         plugins/reduce_visit.wasm. If it doesn't exist but its project lies beside it, it is built first",
    ),
    setting(
        HEADING,
        "set",
        "KEY=VALUE",
        Pairs,
        Empty,
        "Configuration of the plugin itself; repeat it for more. In the \
         variable, entries stand in lines of their own, or in one line between ';'",
    ),
    setting(
        HEADING,
        "cache-dir",
        "DIR",
        Text,
        Told("mapper-host in the user's cache folder"),
        "Where compiled plugins are kept, so that one seen before starts at once. They are run as code: if other users could change the \
         directory, there is no cache",
    ),
];
