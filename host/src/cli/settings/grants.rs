//! Settings of what the plugin may use of the machine.

use super::Kind::{List, Switch};
use super::Standard::{Empty, Value};
use super::{Setting, setting};

const HEADING: &str = "Grants";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "allow-env",
        "NAME",
        List,
        Empty,
        "An environment variable of the host that the plugin may read; it has the value of the start. Repeat the flag \
         for several. In the variable, put commas between them",
    ),
    setting(
        HEADING,
        "allow-dir",
        "HOST::GUEST[:ro]",
        List,
        Empty,
        "A folder that the plugin may use, and its path in the plugin. With :ro the plugin can not write. Repeat the \
         flag for several. In the variable, put commas between them",
    ),
    setting(
        HEADING,
        "deterministic",
        "BOOL",
        Switch,
        Value("false"),
        "For replays: the clocks of the plugin stand at 2000-01-01T00:00:00Z, its random numbers depend only on topic, \
         partition and offset, and each call has one record",
    ),
];
