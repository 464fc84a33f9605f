//! Resource limits during instantiation, and for growth that no compiler emits.

use std::time::Duration;

use super::*;

const SKIP: &str = "(i32.const 2048)";

fn load_error(limits: Limits, fields: &str) -> String {
    let module = core(RECORD, SKIP).replacen("(module", &format!("(module {fields}"), 1);
    load(limits, &component(&module, WIT, RECORD)).err().expect("it is rejected").reason
}

#[test]
fn initial_table_or_memory_above_its_limit_is_rejected() {
    let small = Limits { memory_bytes: 1 << 20, table_elements: 1000, ..Limits::default() };
    let table = load_error(small, "(table 1001 funcref)");
    assert!(table.contains("the table elements of the plugin exceed the limit (1000; --table-limit)"), "{table}");
    let module = core(RECORD, SKIP).replace("(memory (export \"memory\") 4)", "(memory (export \"memory\") 17)");
    let memory = load(small, &component(&module, WIT, RECORD)).err().expect("it is rejected").reason;
    assert!(memory.contains("the memory of the plugin exceeds the limit (1MiB; --memory-limit)"), "{memory}");
}

#[test]
fn endless_start_function_exceeds_the_time_limit() {
    let quick = Limits { record_timeout: Duration::from_millis(50), ..Limits::default() };
    let spins = load_error(quick, "(func $start (loop (br 0))) (start $start)");
    assert!(
        spins.contains("failed to start") && spins.contains("exceeded its time limit (50ms; --record-timeout)"),
        "{spins}"
    );
}

#[test]
fn table_grows_to_its_limit_only() {
    let limits = Limits { table_elements: 1000, ..Limits::default() };
    // Traps if the table can't grow.
    let grow = |by: u32| {
        let body = format!(
            "(if (i32.lt_s (table.grow 0 (ref.null func) (i32.const {by})) (i32.const 0)) (then unreachable)) {SKIP}"
        );
        let module = core(RECORD, &body).replacen("(module", "(module (table 10 funcref)", 1);
        let plugin = load(limits, &component(&module, WIT, RECORD)).unwrap_or_else(|error| panic!("{error}"));
        verdicts(&mut PluginMapper::new(Arc::new(plugin)), 1).remove(0)
    };
    assert_eq!(grow(990), "");
    assert_eq!(grow(991), "out-of-memory: the table elements of the plugin exceed the limit (1000; --table-limit)");
}

#[test]
fn failed_memory_growth_does_not_raise_the_limit() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    // Grows by one page, and then by more than the address space, 100 times. Initially, 4 of 16 pages are used.
    let body = format!(
        "(local $i i32)
         (loop $again
            (drop (memory.grow (i32.const 1)))
            (drop (memory.grow (i32.const 65536)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_s (local.get $i) (i32.const 100))))
         (if (i32.gt_u (memory.size) (i32.const 16)) (then unreachable))
         {SKIP}"
    );
    let mut mapper = mapper(limits, RECORD, &body);
    assert_eq!(verdicts(&mut mapper, 3), ["", "", ""]);
}

#[test]
fn call_stack_is_limited() {
    let depth = |stack_bytes: usize| {
        let module = core(RECORD, "(call $deeper (i32.const 4000))").replacen(
            "(module",
            "(module (func $deeper (param i32) (result i32)
                (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 2048))
                    (else (i32.add (i32.const 0) (call $deeper (i32.sub (local.get 0) (i32.const 1)))))))",
            1,
        );
        let limits = Limits { stack_bytes, ..Limits::default() };
        let plugin = load(limits, &component(&module, WIT, RECORD)).unwrap_or_else(|error| panic!("{error}"));
        verdicts(&mut PluginMapper::new(Arc::new(plugin)), 1).remove(0)
    };
    assert_eq!(depth(1 << 20), "");
    assert!(
        depth(64 << 10).starts_with("trap: ") && depth(64 << 10).contains("call stack exhausted"),
        "{}",
        depth(64 << 10)
    );
}
