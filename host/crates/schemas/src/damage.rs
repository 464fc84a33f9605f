//! Damages payloads, for tests and for the benchmark.

use rand::Rng;

/// Changes, cuts, doubles or extends some bytes, and sometimes writes a huge length.
pub(crate) fn damage(bytes: &mut Vec<u8>, rng: &mut impl Rng) {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = rng.random(),
            2 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            3 => bytes.insert(at, rng.random()),
            // 2^40 and more, as a varint.
            4 => drop(bytes.splice(at..at, [0x80, 0x80, 0x80, 0x80, 0x80, rng.random_range(0..0x80)])),
            _ => bytes.extend_from_within(at..),
        }
    }
}
