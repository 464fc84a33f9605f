//! The command line of a benchmark.

use anyhow::{Context, Result};

/// The flags, each with its value.
pub(crate) fn read(args: impl Iterator<Item = String>) -> Result<Vec<(String, String)>> {
    // Cargo says `--bench` to every benchmark.
    let mut args = args.filter(|argument| argument != "--bench");
    let mut flags = Vec::new();
    while let Some(flag) = args.next() {
        let value = args.next().with_context(|| format!("{flag} needs a value"))?;
        flags.push((flag, value));
    }
    Ok(flags)
}
