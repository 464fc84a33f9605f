//! Resource limits of an instance, and their accounting.

use std::num::NonZeroUsize;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::EPOCH_TICK;
use mapper_core::bytes::Bytes;

/// Core instances, memories and tables per component. Most components have a handful; CPython has almost 30.
const MAX_PARTS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time limit for one record, and for the configuration.
    pub record_timeout: Duration,
    /// Limit of the linear memory, over all memories of an instance.
    pub memory_bytes: usize,
    /// Limit of the table elements, over all tables of an instance.
    pub table_elements: usize,
    /// Limit of the guest's call stack.
    pub stack_bytes: usize,
    /// Limit of the data that a guest passes to the host in one call: for one record, or for a batch.
    pub output_bytes: usize,
    /// The host replaces an instance after this many records.
    pub recycle_after: Option<NonZeroUsize>,
    /// CPU time limit of a compilation, over all threads.
    pub compile_timeout: Duration,
    /// Memory limit of a compilation.
    pub compile_memory_bytes: u64,
}

impl Default for Limits {
    /// The defaults of the command line settings.
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
    /// The record timeout in epoch ticks. The extra tick makes up for the current one, which has partly passed.
    pub(super) fn timeout_ticks(&self) -> u64 {
        u64::try_from(self.record_timeout.as_millis().div_ceil(EPOCH_TICK.as_millis())).unwrap_or(u64::MAX / 2) + 1
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    /// The memory limit of the host.
    Memory,
    /// The maximum that the plugin declares, or the memory of the machine.
    OwnMemory,
    Table,
}

impl Denial {
    pub(super) fn message(self, limits: &Limits) -> String {
        match self {
            Self::Memory => format!(
                "the memory of the plugin exceeds the limit ({}; --memory-limit)",
                Bytes(limits.memory_bytes as u64)
            ),
            Self::OwnMemory => {
                "the memory of the plugin exceeds the maximum that it declares. Build it with a larger maximum"
                    .to_owned()
            }
            Self::Table => {
                format!("the table elements of the plugin exceed the limit ({}; --table-limit)", limits.table_elements)
            }
        }
    }
}

/// Counts the memory and table elements of one instance, and records a denial.
pub(super) struct Limiter {
    memory_limit: usize,
    table_limit: usize,
    memory: usize,
    table: usize,
    denial: Option<Denial>,
}

impl Limiter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            memory_limit: limits.memory_bytes,
            table_limit: limits.table_elements,
            memory: 0,
            table: 0,
            denial: None,
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn take_denial(&mut self) -> Option<Denial> {
        self.denial.take()
    }

    /// The denial since the last [`Limiter::take_denial`].
    pub(super) fn denial(&self) -> Option<Denial> {
        self.denial
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if self.memory.saturating_add(more) > self.memory_limit {
            self.denial = Some(Denial::Memory);
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.denial = Some(Denial::OwnMemory);
            return Ok(false);
        }
        self.memory += more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // The count stays: wasmtime also calls this for growth that `memory_growing` never saw, and subtracting that would
        // raise the limit.
        self.denial.get_or_insert(Denial::OwnMemory);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let beyond_own = maximum.is_some_and(|maximum| desired > maximum);
        if beyond_own || self.table.saturating_add(more) > self.table_limit {
            // A table at its own maximum is no lack of memory: the guest handles it.
            self.denial = if beyond_own { self.denial } else { Some(Denial::Table) };
            return Ok(false);
        }
        self.table += more;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.denial.get_or_insert(Denial::Table);
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
    fn memory_limit_spans_all_memories_and_a_denial_is_reported_once() {
        let mut limiter = limiter(10, 0);
        assert!(limiter.memory_growing(0, 4, None).unwrap());
        assert!(limiter.memory_growing(0, 6, Some(6)).unwrap());
        assert_eq!((limiter.memory(), limiter.take_denial()), (10, None));
        assert!(!limiter.memory_growing(4, 5, None).unwrap());
        assert_eq!((limiter.memory(), limiter.take_denial()), (10, Some(Denial::Memory)));
        assert_eq!(limiter.take_denial(), None);
    }

    #[test]
    fn failed_growth_is_reported_and_the_count_stays() {
        let mut limiter = limiter(10, 0);
        assert!(limiter.memory_growing(0, 8, None).unwrap());
        for _ in 0..3 {
            limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        }
        assert_eq!((limiter.memory(), limiter.take_denial()), (8, Some(Denial::OwnMemory)));
        assert!(!limiter.memory_growing(8, 80, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert_eq!((limiter.memory(), limiter.take_denial()), (8, Some(Denial::Memory)));
    }

    #[test]
    fn table_elements_have_a_separate_limit() {
        let mut limiter = limiter(0, 10);
        assert!(limiter.table_growing(0, 6, None).unwrap() && limiter.table_growing(0, 4, None).unwrap());
        assert!(!limiter.table_growing(4, 5, None).unwrap());
        assert_eq!(limiter.take_denial(), Some(Denial::Table));
        assert!(!limiter.table_growing(0, 5, Some(4)).unwrap());
        assert_eq!(limiter.take_denial(), None);
    }
}
