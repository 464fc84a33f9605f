//! What record data the answers have. A field with record data has the extension `x-payload` in its schema, with its kind:
//!
//! | kind | content |
//! |---|---|
//! | `key`, `key-base64` | a key |
//! | `value`, `value-base64` | another part of a record |
//! | `headers` | a list of names with values |
//! | `message` | what a plugin has written: a message, a log, a backtrace |
//! | `result` | `KIND: MESSAGE` of a failure, or outputs |
//! | `sentence` | a message of the host that may quote a failure at its end |
//! | `whole` | records in a form that can't be masked |

use std::fmt;

/// The header that says that fields of an answer are hidden. Its value is the name of the mode. In a request it asks for this mode, if it is
/// stricter than that of the server.
pub const PAYLOADS_HEADER: &str = "mapper-host-payloads";

/// What answers have of records (`--admin-payloads`), the strictest mode last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Payloads {
    /// All.
    #[default]
    Show,
    /// Lengths, types and names of JSON fields.
    Mask,
    /// Nothing.
    Off,
}

impl Payloads {
    pub const ALL: [Self; 3] = [Self::Show, Self::Mask, Self::Off];

    pub fn name(self) -> &'static str {
        match self {
            Self::Show => "show",
            Self::Mask => "mask",
            Self::Off => "off",
        }
    }

    /// The mode with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
