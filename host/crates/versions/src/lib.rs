//! Versions of the plugin: how the host checks a new version, switches the workers to it at a recorded offset, and rolls it back.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

pub mod archive;
pub mod completeness;
pub mod control;
pub mod history;
pub mod journal;
pub mod map;
pub mod notification;
pub mod outcome;
pub mod priority;
pub mod probation;
pub mod recent;
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
pub mod worker;

pub use control::Control;
pub use history::{History, Trigger, Version};
pub use journal::Journal;
pub use slot::{ActiveVersion, Slot};
pub use watch::Reload;
pub use worker::WorkerSlot;
