//! The loop that maps records, and the traits that it is written against.

#![forbid(unsafe_code)]

pub mod activity;
pub mod contracts;
pub mod guest;
#[cfg(feature = "simulation")]
pub mod simulation;
