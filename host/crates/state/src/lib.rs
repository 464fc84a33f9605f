//! Files of the host: opening files safely, the claim of a slot of the state folder, and in-flight markers of records.

#![forbid(unsafe_code)]

pub mod claim;
pub mod files;
pub mod in_flight;
pub mod topics;

pub use claim::StateClaim;
