//! Files that users name, and files that the host keeps: only regular files are opened, every read has a limit, and what must
//! not be tampered with lies in a directory that only this user can change.

pub mod folders;
mod owner;
mod private;
mod regular;
mod text;

pub use owner::check_secret;
pub use private::{NewFile, PrivateDir};
pub use regular::{Limit, check, open, open_stream, read, read_opened, read_text, write};
pub use text::{WithoutMark, decode_text};

#[cfg(test)]
mod tests;
