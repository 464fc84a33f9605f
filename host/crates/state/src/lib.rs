//! What the host keeps in files: the state folder with its claims, records that were in flight, and how files are opened at all.

#![forbid(unsafe_code)]

pub mod files;
pub mod intents;
pub mod transactional_id;
