//! Dead letters that people work with: which ones are meant, what groups they form, and what has been done about them. No I/O.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod groups;
pub mod open_letters;
pub mod report;
pub mod selection;
pub mod source_range;
pub mod state;
pub mod withdrawn;

pub use groups::{GroupStats, GroupTable, Grouped};
pub use open_letters::OpenLetters;
pub use selection::Selection;
pub use source_range::SourceRange;
pub use state::{StateError, StateTable};
pub use withdrawn::WithdrawnVersions;
