//! The types that all other crates share: records, verdicts, decisions and dead letters. The crate does no I/O.

#![forbid(unsafe_code)]

pub mod bytes;
pub mod counts;
pub mod dead_letter;
pub mod decision;
pub mod delivery;
pub mod identity;
pub mod in_flight;
pub mod input_topics;
pub mod ledger;
pub mod pairs;
pub mod partition_key;
pub mod quotation;
pub mod record;
pub mod rejection;
pub mod shutdown;
pub mod source;
pub mod suggestion;
pub mod topic_table;
pub mod topics;
pub mod trace_context;
pub mod verdict;
