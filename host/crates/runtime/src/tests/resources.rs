//! What a guest takes before it has done anything, or where no compiler would let it.

use std::time::Duration;

use super::*;

const SKIP: &str = "(i32.const 2048)";

fn refused(limits: Limits, what: &str) -> String {
    let module = core(RECORD, SKIP).replacen("(module", &format!("(module {what}"), 1);
    load(limits, &component(&module, WIT, RECORD)).err().expect("it is refused").1
}

#[test]
fn what_is_too_large_from_the_start_is_refused_with_the_limit() {
    let small = Limits { memory_bytes: 1 << 20, table_elements: 1000, ..Limits::default() };
    let table = refused(small, "(table 1001 funcref)");
    assert!(table.contains("the plugin needs more table elements than it may have (1000; --table-limit)"), "{table}");
    let module = core(RECORD, SKIP).replace("(memory (export \"memory\") 4)", "(memory (export \"memory\") 17)");
    let memory = load(small, &component(&module, WIT, RECORD)).err().expect("it is refused").1;
    assert!(memory.contains("the plugin needs more memory than it may have (1MiB; --memory-limit)"), "{memory}");
}

#[test]
fn a_start_that_never_ends_is_cut() {
    let quick = Limits { record_timeout: Duration::from_millis(50), ..Limits::default() };
    let spins = refused(quick, "(func $start (loop (br 0))) (start $start)");
    assert!(spins.contains("could not be started") && spins.contains("longer than it may"), "{spins}");
}

#[test]
fn tables_grow_to_their_limit_and_no_further() {
    let limits = Limits { table_elements: 1000, ..Limits::default() };
    // Traps when the table can't grow by as many as asked.
    let grow = |by: u32| {
        let body = format!(
            "(if (i32.lt_s (table.grow 0 (ref.null func) (i32.const {by})) (i32.const 0)) (then unreachable)) {SKIP}"
        );
        let module = core(RECORD, &body).replacen("(module", "(module (table 10 funcref)", 1);
        let plugin = load(limits, &component(&module, WIT, RECORD)).unwrap_or_else(|(_, reason)| panic!("{reason}"));
        verdicts(&mut PluginMapper::new(Arc::new(plugin)), 1).remove(0)
    };
    assert_eq!(grow(990), "");
    assert_eq!(grow(991), "out-of-memory: the plugin needs more table elements than it may have (1000; --table-limit)");
}

#[test]
fn growth_beyond_all_bounds_gives_no_memory_for_nothing() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    // One page, and then more than there can be, again and again: 4 pages of 16 are used at the start.
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
fn the_call_stack_has_a_limit() {
    let depth = |stack_bytes: usize| {
        let module = core(RECORD, "(call $deeper (i32.const 4000))").replacen(
            "(module",
            "(module (func $deeper (param i32) (result i32)
                (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 2048))
                    (else (i32.add (i32.const 0) (call $deeper (i32.sub (local.get 0) (i32.const 1)))))))",
            1,
        );
        let limits = Limits { stack_bytes, ..Limits::default() };
        let plugin = load(limits, &component(&module, WIT, RECORD)).unwrap_or_else(|(_, reason)| panic!("{reason}"));
        verdicts(&mut PluginMapper::new(Arc::new(plugin)), 1).remove(0)
    };
    assert_eq!(depth(1 << 20), "");
    assert!(
        depth(64 << 10).starts_with("trap: ") && depth(64 << 10).contains("call stack exhausted"),
        "{}",
        depth(64 << 10)
    );
}
