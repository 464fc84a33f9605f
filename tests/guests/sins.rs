//! What test guests do wrong, in more than one of them.

/// A stack overflow, which no compiler sees coming.
pub fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX {
        return depth;
    }
    std::hint::black_box(recurse(depth + 1)) + 1
}

/// Takes memory as long as there is any.
pub fn hoard() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

/// Calls since the beginning of the instance.
pub fn count() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    COUNT.fetch_add(1, Relaxed) + 1
}

/// Writes over all of its own memory, from the start of its data, and returns as if nothing had happened.
pub fn corrupt() {
    for address in (1024..256 << 10).step_by(4) {
        // SAFETY: none; that it harms nobody else is what is tested.
        unsafe { std::hint::black_box(address as *mut u32).write_volatile(0xdead_beef) };
    }
}
