//! Where instances get their memory from: places that are prepared once and used again, so that a new instance in the place of one
//! that trapped costs a few system calls less, and its pages are there already.

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Memories of all instances at a time: 256 workers, each with an instance while another one is prepared. Only addresses are
/// set aside for them, 4 GiB each, which is what makes checks of bounds needless.
const MEMORIES: u32 = 1000;
/// Elements of a table, at most: as many as `--table-limit` may be.
const TABLE_ELEMENTS: usize = 10_000_000;
/// What describes an instance, in bytes: grows with the functions that a module has, of which CPython has 20 000.
const INSTANCE_BYTES: usize = 64 << 20;
/// Core instances, memories and tables of one component, beyond which it is refused when it is made ([`super::limits`]).
const PARTS: u32 = 64;
/// Slots that are kept although no instance uses them.
const SPARE: u32 = 8;
/// What is kept of such a place, in bytes; it is written over instead of given back.
const KEPT_MEMORY_BYTES: usize = 1 << 20;
const KEPT_TABLE_BYTES: usize = 64 << 10;

/// Memory from prepared places.
pub(super) fn strategy() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MEMORIES)
        .total_core_instances(MEMORIES * PARTS)
        .total_memories(MEMORIES)
        .total_tables(MEMORIES * 4)
        .total_stacks(0)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_core_instances_per_component(PARTS)
        .max_memories_per_component(PARTS)
        .max_tables_per_component(PARTS)
        .max_memories_per_module(PARTS)
        .max_tables_per_module(PARTS)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(SPARE)
        .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
        .table_keep_resident(KEPT_TABLE_BYTES);
    // Where the kernel can tell which pages were written to (Linux 6.7), only these are written over; without it the first ones
    // would be, whether they were used or not, which costs more than to give them back.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes);
    } else {
        pool.linear_memory_keep_resident(0).table_keep_resident(0);
    }
    InstanceAllocationStrategy::Pooling(pool)
}
