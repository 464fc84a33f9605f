//! Settings of the log, and the settings file.

use super::Kind::Text;
use super::Standard::{Empty, Value};
use super::{OPTIONS, Setting, setting};

pub(super) const HEADING: &str = "Output";

pub(super) const LOG_LEVEL_TEXT: &str =
    "off, error, warn, info, debug or trace, or directives such as info,kafka=debug";

pub(super) const LOG_FORMAT: Setting =
    setting(HEADING, "log-format", "FORMAT", Text, Value("text"), "text, for people, or json, one object a line");

pub(super) const LOG_LEVEL: Setting = setting(HEADING, "log-level", "LEVEL", Text, Value("info"), LOG_LEVEL_TEXT);

pub(crate) const CONFIG: Setting = setting(
    OPTIONS,
    "config",
    "FILE",
    Text,
    Empty,
    "A TOML file with settings. The keys are the names of the flags without dashes in front; [kafka] and [set] are \
         tables",
);

pub(super) const SETTINGS: &[Setting] = &[LOG_FORMAT, LOG_LEVEL, CONFIG];
