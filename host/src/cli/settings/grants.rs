//! Settings of what the plugin is given of the machine.

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
        "A variable of the host's environment that the plugin may see, with the value it has at the start; repeat it for \
         more. In the variable, put commas between them",
    ),
    setting(
        HEADING,
        "allow-dir",
        "HOST::GUEST[:ro]",
        List,
        Empty,
        "A folder that the plugin may use, and what it knows it as; with :ro it may not write there. Repeat it for more. \
         In the variable, put commas between them",
    ),
    setting(
        HEADING,
        "deterministic",
        "BOOL",
        Switch,
        Value("false"),
        "The plugin's clocks stand still at 2000-01-01T00:00:00Z, its random numbers are the same for the same topic, \
         partition and offset, and it is given one record a call: for replays",
    ),
];
