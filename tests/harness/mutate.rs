//! Mutations of a file, determined by a seed.

/// A source of numbers: SplitMix64.
pub struct Numbers(u64);

impl Numbers {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another one, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// That many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// The file with one to four mutations before `end`: changed bits and bytes, and deleted, duplicated, moved or truncated pieces.
pub fn mutated(original: &[u8], end: usize, numbers: &mut Numbers) -> Vec<u8> {
    let mut file = original.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(end.min(file.len()).max(1));
        let length = (1 + numbers.below(16)).min(file.len() - at);
        match numbers.below(16) {
            0..7 => file[at] ^= 1 << numbers.below(8),
            7..11 => file[at] = numbers.next() as u8,
            // The largest LEB128 numbers; a number ends at the byte whose highest bit is not set.
            11 => file[at..at + length].fill(0xff),
            12 => drop(file.drain(at..at + length)),
            13 => {
                let piece = file[at..at + length].to_vec();
                file.splice(at..at, piece);
            }
            14 => {
                let from = numbers.below(file.len() - length + 1);
                file.copy_within(from..from + length, at);
            }
            _ => file.truncate(at.max(8)),
        }
        if file.is_empty() {
            break;
        }
    }
    file
}
