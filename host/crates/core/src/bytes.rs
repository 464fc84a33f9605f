//! Sizes with units.

use std::fmt;
use std::str::FromStr;

/// Units, from large to small. A number without a unit is in bytes.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes, written `16MiB`, `64KiB`, `1GiB`, `5MB`, `100kB` or `1024`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// The error for a text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a size is a whole number with KiB, MiB, GiB, kB, MB, GB or nothing (bytes) after it")]
pub struct NotBytes;

impl FromStr for Bytes {
    type Err = NotBytes;

    /// # Errors
    /// If the text is not a whole number with an optional unit, or exceeds 2^64 bytes.
    fn from_str(text: &str) -> Result<Self, NotBytes> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        let factor = match unit {
            "" => 1,
            // Letter case is ignored, because `16Mib` cannot mean bits here.
            unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(NotBytes)?.1,
        };
        number.parse().ok().and_then(|number: u64| number.checked_mul(factor)).map(Self).ok_or(NotBytes)
    }
}

impl fmt::Display for Bytes {
    /// Uses the largest binary unit that divides the size, so that the text is exact.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, factor) in &UNITS[..3] {
            if self.0 >= *factor && self.0.is_multiple_of(*factor) {
                return write!(f, "{}{name}", self.0 / factor);
            }
        }
        write!(f, "{}", self.0)
    }
}
