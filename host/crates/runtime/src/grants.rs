//! The WASI capabilities of a plugin: clocks and random numbers, and explicit grants.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand_core::TryRng;
use wasmtime_wasi::{FsPerms, HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use mapper_core::record::Record;

/// Wall clock with `--deterministic`: 2000-01-01T00:00:00Z.
const FIXED_WALL_CLOCK: Duration = Duration::from_secs(946_684_800);
/// Monotonic clock with `--deterministic`, in nanoseconds. The Go runtime interprets 0 as a clock that is not set.
const FIXED_MONOTONIC_NS: u64 = 1_000_000_000;
/// Random seed with `--deterministic` before the first record.
const FIXED_SEED: u64 = 0;
/// Random bytes per call. A guest that needs more calls again.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// Capabilities granted in addition to clocks and random numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Environment variables: name and value.
    pub env: Vec<(String, String)>,
    pub dirs: Vec<GrantedDir>,
    /// Fixes the clocks, and seeds random numbers with the position of the record.
    pub deterministic: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedDir {
    /// The path on the host.
    pub host: PathBuf,
    /// The path in the guest.
    pub guest: String,
    pub writable: bool,
}

impl Grants {
    /// # Errors
    /// A granted directory can't be read.
    pub fn check(&self) -> Result<(), String> {
        self.dirs.iter().try_for_each(|dir| {
            let readable = std::fs::read_dir(&dir.host).map(|_| ());
            readable
                .map_err(|error| format!("--allow-dir: failed to read the directory {}: {error}", dir.host.display()))
        })
    }

    /// # Errors
    /// A granted directory can't be opened.
    pub(super) fn wasi_builder(&self, seed: &Seed) -> wasmtime::Result<WasiCtxBuilder> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        wasi.max_random_size(MAX_RANDOM_BYTES);
        // The worker waits for the guest anyway, so blocking calls need no other thread.
        wasi.allow_blocking_current_thread(true);
        wasi.envs(&self.env);
        for dir in &self.dirs {
            let perms = if dir.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(&dir.host, &dir.guest, perms)
                .map_err(|error| error.context(format!("opening the granted directory {}", dir.host.display())))?;
        }
        if self.deterministic {
            wasi.wall_clock(FixedClock).monotonic_clock(FixedClock);
            wasi.secure_random(seed.clone()).insecure_random(seed.clone()).insecure_random_seed(FIXED_SEED.into());
        }
        Ok(wasi)
    }
}

struct FixedClock;

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        FIXED_WALL_CLOCK
    }
}

impl HostMonotonicClock for FixedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        FIXED_MONOTONIC_NS
    }
}

/// A SplitMix64 generator that is seeded again for each record. The algorithm is part of this file so that a dependency update
/// can't change the numbers. Clones share the state.
#[derive(Clone)]
pub(super) struct Seed(Arc<AtomicU64>);

impl Default for Seed {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(FIXED_SEED)))
    }
}

impl Seed {
    /// Seeds the generator with the FNV-1a hash of topic, partition and offset.
    pub(super) fn reseed(&self, record: Record<'_>) {
        const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let (partition, offset) = (record.partition().to_le_bytes(), record.offset().to_le_bytes());
        let bytes = record.topic().bytes().chain(partition).chain(offset);
        let hash = bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
        self.0.store(hash, Ordering::Relaxed);
    }

    fn next(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl TryRng for Seed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.next() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapper_core::record::Batch;

    #[test]
    fn seed_depends_on_the_record_and_numbers_match_splitmix64() {
        let seed = Seed::default();
        // The reference implementation's first two numbers from 0 (https://prng.di.unimi.it/splitmix64.c).
        assert_eq!([seed.next(), seed.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        let mut batch = Batch::new("visits");
        for position in [(0, 7), (0, 8), (1, 7)] {
            batch.push(position, 0, None, None, std::iter::empty());
        }
        let mut numbers: Vec<u64> = batch
            .records()
            .map(|record| {
                seed.reseed(record);
                let first = seed.next();
                seed.reseed(record);
                assert_eq!(seed.next(), first);
                first
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 3);
    }
}
