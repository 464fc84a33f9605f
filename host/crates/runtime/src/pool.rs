//! The pooling allocator of wasmtime. It reuses the slots of dropped instances, so replacing an instance after a trap needs fewer
//! system calls and page faults.

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Linear memories in the process: up to 256 workers, each with one active instance and one in preparation. The pool reserves
/// 4 GiB of address space per memory, which makes bounds checks unnecessary. It doesn't commit this memory.
const MEMORIES: u32 = 1000;
/// The maximum of `--table-limit`.
const TABLE_ELEMENTS: usize = 10_000_000;
/// Metadata of an instance. It grows with the functions of the module; CPython has 20 000.
const INSTANCE_BYTES: usize = 64 << 20;
/// Core instances, memories and tables per component. [`super::limits`] rejects a component with more.
const PARTS_PER_COMPONENT: u32 = 64;
/// Unused slots that keep their pages.
const WARM_SLOTS: u32 = 8;
/// Bytes per slot that are zeroed instead of unmapped.
const RESIDENT_MEMORY_BYTES: usize = 1 << 20;
const RESIDENT_TABLE_BYTES: usize = 64 << 10;

pub(super) fn strategy() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MEMORIES)
        .total_core_instances(MEMORIES * PARTS_PER_COMPONENT)
        .total_memories(MEMORIES)
        .total_tables(MEMORIES * 4)
        .total_stacks(0)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_core_instances_per_component(PARTS_PER_COMPONENT)
        .max_memories_per_component(PARTS_PER_COMPONENT)
        .max_tables_per_component(PARTS_PER_COMPONENT)
        .max_memories_per_module(PARTS_PER_COMPONENT)
        .max_tables_per_module(PARTS_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(RESIDENT_MEMORY_BYTES)
        .table_keep_resident(RESIDENT_TABLE_BYTES);
    // With PAGEMAP_SCAN (Linux 6.7) the pool zeroes only dirty pages. Without it, the pool would zero all resident pages, which
    // costs more than unmapping them.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
    } else {
        pool.linear_memory_keep_resident(0).table_keep_resident(0);
    }
    InstanceAllocationStrategy::Pooling(pool)
}
