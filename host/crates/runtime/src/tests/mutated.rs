//! Mutated components are rejected or contained; they never crash the host.

use std::time::Duration;

use harness::components::BY_HAND;
use harness::mutate::{Numbers, mutated};

use super::*;

const MUTATIONS: usize = 1000;
const RECORDS: usize = 5;

/// Maps with a component if it loads. Returns whether it loaded.
fn load_and_map(engine: &Arc<Engine>, bytes: &[u8]) -> bool {
    let Ok(plugin) = Plugin::from_bytes(engine, bytes, &[], Effort::OneThread) else { return false };
    assert_eq!(verdicts(&mut PluginMapper::new(Arc::new(plugin)), RECORDS).len(), RECORDS);
    true
}

fn engine() -> Arc<Engine> {
    // Some mutations loop for ever.
    let limits = Limits { record_timeout: Duration::from_millis(20), memory_bytes: 4 << 20, ..Limits::default() };
    Arc::new(Engine::new(limits, None).expect("an engine"))
}

#[test]
fn mutated_component_is_rejected_or_contained() {
    let original = component(BY_HAND, WIT, BATCH);
    let engine = engine();
    assert!(load_and_map(&engine, &original));
    let mut numbers = Numbers::new(1);
    let loaded =
        (0..MUTATIONS).filter(|_| load_and_map(&engine, &mutated(&original, original.len(), &mut numbers))).count();
    // The test is void unless both happen.
    assert!((MUTATIONS / 100..MUTATIONS * 9 / 10).contains(&loaded), "{loaded} were loaded");
}

#[test]
fn random_bytes_are_rejected() {
    let engine = engine();
    let mut numbers = Numbers::new(2);
    for length in (0..200).chain([4096, 1 << 20]) {
        let bytes = numbers.bytes(length);
        assert!(!load_and_map(&engine, &bytes));
        // With the header of a component.
        assert!(!load_and_map(&engine, &[b"\0asm\x0d\0\x01\0", &bytes[..]].concat()) || length == 0);
    }
}
