//! Terminal output: stdout, stderr, and the log.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod console;
pub mod output;
