//! Settings of the plugin.

use super::Kind::{Pairs, Text};
use super::Standard::{Described, Empty, Required};
use super::{Setting, setting};

const HEADING: &str = "Plugin";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "plugin",
        "FILE",
        Text,
        Required,
        "The plugin, a WebAssembly component. If the file does not exist and a plugin project of its name is beside it, \
         the host builds that first",
    ),
    setting(
        HEADING,
        "set",
        "KEY=VALUE",
        Pairs,
        Empty,
        "A setting of the plugin itself. Repeat the flag for several. In the variable, put each entry on a line of its \
         own, or all on one line with ';' between them",
    ),
    setting(
        HEADING,
        "cache-dir",
        "DIR",
        Text,
        Described("mapper-host in the user's cache folder"),
        "The folder for compiled plugins, so that a plugin compiles once. The host runs these files as code: it uses no \
         cache if other users can change the folder",
    ),
];
