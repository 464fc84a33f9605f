//! Files of the host: opening files safely, the state folder with its slots, and in-flight markers of records.

#![forbid(unsafe_code)]

pub mod files;
pub mod in_flight;
pub mod transactional_id;
