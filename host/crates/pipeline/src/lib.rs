//! The loop of the mapper host: fetch, map, decide, produce, commit; and what to do when any of these fails.
//!
//! [`Driver`] makes the blocking calls, one a step. What comes next is decided by rules without IO and without a clock (`rules`).
//! The loop knows Kafka, the plugin and everything that watches only as traits, so that the same code runs on fakes, on a simulated
//! cluster, on the embedded broker and on Kafka.

#![forbid(unsafe_code)]

pub mod activity;
mod clock;
pub mod contracts;
mod driver;
mod emission;
mod emitter;
mod error;
pub mod guest;
mod ledger;
mod observer;
mod provenance;
mod rules;
mod settings;
#[cfg(feature = "simulation")]
pub mod simulation;
mod version_slot;

pub use activity::Activity;
pub use clock::{Clock, ManualClock, SystemClock};
pub use contracts::{
    CommittedRange, Fetched, Mapper, Outgoing, PREPARE_LIMIT, RejectionCause, STEP, Sink, Source, SourceObserver,
    Unavailable,
};
pub use driver::{Driver, Parts, StepOutcome};
pub use error::{Rejection, SinkError, SourceError};
pub use mapper_core::in_flight::{Admission, InFlightMarker};
pub use observer::{CommittedTransaction, FailedRecord, Observer, Observers, RecordTracer};
pub use provenance::PROVENANCE_BYTES;
pub use settings::{BreakerRecords, BreakerSettings, CommitPolicy, FailurePolicy, LedgerNames, Settings};
pub use version_slot::VersionSlot;
