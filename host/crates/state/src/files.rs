//! Safe access to files of users and of the host. Only regular files are opened, and every read has a limit. Files that other users
//! must not change are in a directory that only this user can write to.

pub mod folders;
mod owner;
mod private;
mod regular;
mod text;

use mapper_core::identity::MAX_PLUGIN_BYTES;

pub use owner::check_secret;
pub use private::{NewFile, PrivateDir};
pub use regular::{Limit, check, open, open_stream, read, read_opened, read_text, write};
pub use text::{WithoutBom, decode_text};

pub const PLUGIN_LIMIT: Limit = Limit::new("a plugin", MAX_PLUGIN_BYTES);

#[cfg(test)]
mod tests;
