//! Files that users name, and files that the host keeps: only regular files are opened, every read has a limit, and what must
//! not be tampered with lies in a directory that only this user can change.

pub mod folders;
mod owner;
mod private;
mod regular;
mod text;

use mapper_core::identity::MAX_PLUGIN_BYTES;

pub use owner::check_secret;
pub use private::{NewFile, PrivateDir};
pub use regular::{Limit, check, open, open_stream, read, read_opened, read_text, write};
pub use text::{WithoutMark, decode_text};

/// The file of a plugin.
pub const PLUGIN_LIMIT: Limit = Limit::new("a plugin", MAX_PLUGIN_BYTES);

#[cfg(test)]
mod tests;
