//! Terminal output: stdout, stderr, and the log; and words for the shell of a terminal.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod console;
pub mod output;
pub mod shell;
