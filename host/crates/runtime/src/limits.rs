//! What an instance may use, and who counts it.

use std::num::NonZeroUsize;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::EPOCH_TICK;
use mapper_core::bytes::Bytes;

/// Core instances, memories and tables of one component. A component is put together of a handful; CPython has the most, below 30.
const MAX_PARTS: usize = 64;

/// What an instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest a guest may take for one record, or for its configuration.
    pub record_timeout: Duration,
    /// The most linear memory of one instance, in bytes, all of its memories together.
    pub memory_bytes: usize,
    /// The most elements of all tables of one instance.
    pub table_elements: usize,
    /// The most of the call stack that a guest may use, in bytes.
    pub stack_bytes: usize,
    /// The most that a guest may hand to the host in one call, in bytes: for one record, or for a batch.
    pub output_bytes: usize,
    /// An instance is renewed after this many records; `None`: never for that reason.
    pub recycle_after: Option<NonZeroUsize>,
    /// The most CPU time that compiling a plugin may take, on all CPUs together.
    pub compile_timeout: Duration,
    /// The most memory that compiling a plugin may take, in bytes.
    pub compile_memory_bytes: u64,
}

impl Default for Limits {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            record_timeout: Duration::from_secs(1),
            memory_bytes: 64 << 20,
            table_elements: 100_000,
            stack_bytes: 512 << 10,
            output_bytes: 16 << 20,
            recycle_after: None,
            compile_timeout: Duration::from_secs(60),
            compile_memory_bytes: 1 << 30,
        }
    }
}

impl Limits {
    /// The record timeout in ticks of the engine's clock; at least one whole tick always passes.
    pub(super) fn timeout_ticks(&self) -> u64 {
        u64::try_from(self.record_timeout.as_millis().div_ceil(EPOCH_TICK.as_millis())).unwrap_or(u64::MAX / 2) + 1
    }
}

/// What a guest asked for and was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Memory beyond the limit.
    Memory,
    /// Memory beyond what the plugin itself said it would use at most, or what the machine has.
    OwnMemory,
    /// Table elements beyond the limit.
    Table,
}

impl Denied {
    /// For a person: what there was not enough of, and the way out.
    pub(super) fn text(self, limits: &Limits) -> String {
        match self {
            Self::Memory => format!(
                "the plugin needs more memory than it may have ({}; --memory-limit)",
                Bytes(limits.memory_bytes as u64)
            ),
            Self::OwnMemory => "the plugin needs more memory than it was built to have".to_owned(),
            Self::Table => format!(
                "the plugin needs more table elements than it may have ({}; --table-limit)",
                limits.table_elements
            ),
        }
    }
}

/// Counts what one instance uses, all of its memories and all of its tables together, and remembers a denial.
pub(super) struct Limiter {
    memory_limit: usize,
    table_limit: usize,
    memory: usize,
    table: usize,
    denied: Option<Denied>,
}

impl Limiter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory_bytes,
            table_limit: limits.table_elements,
            memory: 0,
            table: 0,
            denied: None,
        }
    }

    /// Linear memory in use, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// What was denied since this was asked last.
    pub(super) fn take_denied(&mut self) -> Option<Denied> {
        self.denied.take()
    }

    /// What was denied since [`Limiter::take_denied`].
    pub(super) fn denied(&self) -> Option<Denied> {
        self.denied
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if self.memory.saturating_add(more) > self.memory_limit {
            self.denied = Some(Denied::Memory);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.denied = Some(Denied::OwnMemory);
            return Ok(false);
        }
        self.memory += more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // What was counted stays counted: a guest can make growth fail that was never asked for here, and would get
        // it subtracted for nothing.
        self.denied.get_or_insert(Denied::OwnMemory);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let beyond_own = maximum.is_some_and(|maximum| desired > maximum);
        if beyond_own || self.table.saturating_add(more) > self.table_limit {
            // What a guest does about its own maximum is not a question of memory.
            self.denied = if beyond_own { self.denied } else { Some(Denied::Table) };
            return Ok(false);
        }
        self.table += more;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.denied.get_or_insert(Denied::Table);
        Ok(())
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory_bytes: usize, table_elements: usize) -> Limiter {
        Limiter::new(&Limits { memory_bytes, table_elements, ..Limits::default() })
    }

    #[test]
    fn all_memories_count_together_and_a_denial_is_remembered_once() {
        let mut limiter = limiter(10, 0);
        assert!(limiter.memory_growing(0, 4, None).unwrap());
        assert!(limiter.memory_growing(0, 6, Some(6)).unwrap());
        assert_eq!((limiter.memory(), limiter.take_denied()), (10, None));
        assert!(!limiter.memory_growing(4, 5, None).unwrap());
        assert_eq!((limiter.memory(), limiter.take_denied()), (10, Some(Denied::Memory)));
        assert_eq!(limiter.take_denied(), None);
    }

    #[test]
    fn growth_that_fails_after_all_is_remembered_and_gives_nothing_back() {
        let mut limiter = limiter(10, 0);
        assert!(limiter.memory_growing(0, 8, None).unwrap());
        for _ in 0..3 {
            limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        }
        assert_eq!((limiter.memory(), limiter.take_denied()), (8, Some(Denied::OwnMemory)));
        assert!(!limiter.memory_growing(8, 80, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert_eq!((limiter.memory(), limiter.take_denied()), (8, Some(Denied::Memory)));
    }

    #[test]
    fn tables_have_a_limit_of_their_own() {
        let mut limiter = limiter(0, 10);
        assert!(limiter.table_growing(0, 6, None).unwrap() && limiter.table_growing(0, 4, None).unwrap());
        assert!(!limiter.table_growing(4, 5, None).unwrap());
        assert_eq!(limiter.take_denied(), Some(Denied::Table));
        assert!(!limiter.table_growing(0, 5, Some(4)).unwrap());
        assert_eq!(limiter.take_denied(), None);
    }
}
