//! Versions of the mapper, swapped live: what is checked before one speaks, from which offset on it does, and the way back.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod control;
pub mod history;
pub mod journal;
pub mod notification;
pub mod outcome;
pub mod priority;
pub mod probation;
pub mod report;
pub mod rollback;
pub mod sample;
pub mod shadow;
pub mod slot;
pub mod store;
pub mod swapper;
pub mod tap;
pub mod tryout;
pub mod uploads;
pub mod watch;
pub mod whole;
pub mod worker;

pub use control::Control;
pub use history::{By, History, Version};
pub use journal::Journal;
pub use slot::{ActiveVersion, Slot};
pub use watch::Reload;
pub use worker::WorkerSlot;
