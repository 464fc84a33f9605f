//! Components that were damaged or tampered with: refused or contained, and never the end of the host.

use std::time::Duration;

use harness::components::BY_HAND;
use harness::mutate::{Numbers, mutated};

use super::*;

const MUTATIONS: usize = 1000;
const RECORDS: usize = 5;

/// Loads it, and if it loads, maps with it. Tells whether it loaded.
fn try_out(engine: &Arc<Engine>, bytes: &[u8]) -> bool {
    let Ok(plugin) = Plugin::from_bytes(engine, bytes, &[], Effort::OneThread) else { return false };
    assert_eq!(verdicts(&mut PluginMapper::new(Arc::new(plugin)), RECORDS).len(), RECORDS);
    true
}

fn engine() -> Arc<Engine> {
    // Some run for ever.
    let limits = Limits { record_timeout: Duration::from_millis(20), memory_bytes: 4 << 20, ..Limits::default() };
    Arc::new(Engine::new(limits, None).expect("an engine"))
}

#[test]
fn a_component_with_changes_is_refused_or_contained() {
    let original = component(BY_HAND, WIT, BATCH);
    let engine = engine();
    assert!(try_out(&engine, &original));
    let mut numbers = Numbers::new(1);
    let loaded = (0..MUTATIONS).filter(|_| try_out(&engine, &mutated(&original, original.len(), &mut numbers))).count();
    // Both must happen, or nothing was tested.
    assert!((MUTATIONS / 100..MUTATIONS * 9 / 10).contains(&loaded), "{loaded} were loaded");
}

#[test]
fn random_bytes_are_refused() {
    let engine = engine();
    let mut numbers = Numbers::new(2);
    for length in (0..200).chain([4096, 1 << 20]) {
        let bytes = numbers.bytes(length);
        assert!(!try_out(&engine, &bytes));
        // As a component, as far as its first bytes go.
        assert!(!try_out(&engine, &[b"\0asm\x0d\0\x01\0", &bytes[..]].concat()) || length == 0);
    }
}
