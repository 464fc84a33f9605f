//! Formats guest backtraces, with files and lines if the plugin has debug information.
//!
//! The author of a plugin controls the size and content of its debug information. So a helper process looks up each code offset,
//! once. If the lookup fails, a backtrace has function names only.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::WasmBacktrace;

use super::dwarf::{self, Frame};
use super::helper::{self, Symbolizer};

/// A plugin traps at few places, so a small cache suffices.
const MAX_CACHED_BACKTRACES: usize = 256;
/// The guest controls function and file names, so the host truncates them.
const MAX_NAME_BYTES: usize = 500;
/// A longer name is shown as it is: demangling it may take long.
const MAX_MANGLED_BYTES: usize = 8 << 10;
/// Each failed lookup may take seconds, so the host stops looking up after this number.
const MAX_FAILED_LOOKUPS: u32 = 2;

/// Looks up source positions for the code of one plugin.
#[derive(Default)]
pub(super) struct Symbols {
    lookup: Mutex<Option<Lookup>>,
    cache: Mutex<HashMap<Vec<usize>, Arc<str>>>,
}

struct Lookup {
    program: &'static Path,
    component: Arc<[u8]>,
    /// The process exits when it is idle, so it may be gone.
    symbolizer: Option<Symbolizer>,
    failures: u32,
}

impl Symbols {
    /// Logs a warning if the debug information exceeds a size limit.
    pub(super) fn from_component(component: &[u8]) -> Self {
        let lookup = match (helper::program(), dwarf::is_readable(component)) {
            (Some(program), Ok(true)) => {
                Some(Lookup { program, component: component.into(), symbolizer: None, failures: 0 })
            }
            (_, Ok(_)) => None,
            (_, Err(reason)) => {
                tracing::warn!(
                    reason,
                    "skipped the debug information of the plugin; its backtraces have function names only"
                );
                None
            }
        };
        Self { lookup: Mutex::new(lookup), ..Self::default() }
    }

    /// One line per frame, each followed by its file and line.
    pub(super) fn format_backtrace(&self, trace: &WasmBacktrace) -> Arc<str> {
        let key: Vec<usize> = trace.frames().iter().map(|frame| frame.module_offset().unwrap_or(0)).collect();
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = cache().get(&key) {
            return cached.clone();
        }
        let offsets: Vec<u64> = key.iter().map(|offset| *offset as u64).collect();
        let text: Arc<str> = render(trace, self.look_up(&offsets)).into();
        let mut cache = cache();
        if cache.len() >= MAX_CACHED_BACKTRACES {
            cache.clear();
        }
        cache.insert(key, text.clone());
        text
    }

    /// The source functions at each offset. Empty if the lookup failed.
    fn look_up(&self, offsets: &[u64]) -> Vec<Vec<Frame>> {
        let mut lookup = self.lookup.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(active) = lookup.as_mut() else { return Vec::new() };
        match active.look_up(offsets) {
            Ok(frames) => frames,
            Err(reason) => {
                active.failures += 1;
                let is_disabled = active.failures >= MAX_FAILED_LOOKUPS;
                tracing::warn!(
                    reason,
                    is_disabled,
                    "failed to look up debug information; the backtrace has function names only"
                );
                if is_disabled {
                    *lookup = None;
                }
                Vec::new()
            }
        }
    }
}

impl Lookup {
    fn look_up(&mut self, offsets: &[u64]) -> Result<Vec<Vec<Frame>>, String> {
        if let Some(symbolizer) = self.symbolizer.take()
            && let Ok(frames) = symbolizer.look_up(offsets)
        {
            self.symbolizer = Some(symbolizer);
            return Ok(frames);
        }
        let symbolizer = Symbolizer::start(self.program, self.component.clone())?;
        let frames = symbolizer.look_up(offsets)?;
        self.symbolizer = Some(symbolizer);
        Ok(frames)
    }
}

fn render(trace: &WasmBacktrace, sources: Vec<Vec<Frame>>) -> String {
    let mut sources = sources.into_iter();
    let mut text = "error while executing at wasm backtrace:".to_owned();
    for (number, frame) in trace.frames().iter().enumerate() {
        // Writing to a string can't fail.
        let _ = write!(text, "\n  {number:>3}: {:#8x} - ", frame.module_offset().unwrap_or(0));
        let inlined = sources.next().filter(|frames| !frames.is_empty());
        for (index, source) in inlined.unwrap_or_else(|| vec![Frame::default()]).into_iter().enumerate() {
            if index > 0 {
                text.push_str("\n                - ");
            }
            match source.function {
                Some(name) => text.push_str(&name),
                None => {
                    let function = match frame.func_name() {
                        Some(name) => demangle(name),
                        None => format!("<wasm function {}>", frame.func_index()),
                    };
                    text.extend([&demangle(frame.module().name().unwrap_or("<unknown>")), "!", &function]);
                }
            }
            if let Some(location) = source.location {
                text.extend(["\n                    at ", &location]);
            }
        }
    }
    text
}

pub(super) fn demangle(name: &str) -> String {
    let readable = (name.len() <= MAX_MANGLED_BYTES).then(|| rustc_demangle::try_demangle(name).ok()).flatten();
    match readable {
        Some(readable) => {
            let mut truncated = Truncated(String::new());
            // A short mangled name can expand to a million bytes. The writer returns an error at its limit, which stops it.
            let _ = write!(truncated, "{readable:#}");
            printable(&truncated.0)
        }
        None => printable(name),
    }
}

/// A writer that fails after [`MAX_NAME_BYTES`].
struct Truncated(String);

impl Write for Truncated {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let remaining = MAX_NAME_BYTES - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(remaining)]);
        if text.len() > remaining { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Truncates a guest-controlled text, and replaces control characters so that it stays on one line.
pub(super) fn printable(text: &str) -> String {
    let truncated = &text[..text.floor_char_boundary(MAX_NAME_BYTES)];
    truncated.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled_truncated_and_stay_on_one_line() {
        assert_eq!(demangle("_ZN4core9panicking9panic_fmt17h0123456789abcdefE"), "core::panicking::panic_fmt");
        assert_eq!(demangle("plain_c"), "plain_c");
        assert_eq!(demangle("two\nlines"), "two\u{fffd}lines");
        assert_eq!(demangle(&"x".repeat(10_000)).len(), MAX_NAME_BYTES);
    }

    #[test]
    fn name_that_expands_to_a_million_characters_is_truncated() {
        // Each tuple refers twice to its predecessor, so the name expands to 2^20 names.
        let mut name = "_RINvC1a1b".to_owned();
        let mut last = name.len() - 2;
        name.push_str("TuuE");
        for _ in 0..20 {
            let at = name.len() - 2;
            name.push_str(&format!("TB{0}_B{0}_E", base_62(last)));
            last = at;
        }
        name.push('E');
        assert!(rustc_demangle::try_demangle(&name).is_ok(), "{name}");
        let truncated = demangle(&name);
        assert!(truncated.starts_with("a::b::<") && truncated.len() <= MAX_NAME_BYTES, "{truncated}");
        let deep = format!("_RMC0{}p", "R".repeat(5000));
        assert!(demangle(&deep).len() <= MAX_NAME_BYTES);
    }

    /// A base-62 number of Rust's v0 mangling, without its final `_`.
    fn base_62(number: usize) -> String {
        const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let Some(mut rest) = number.checked_sub(1) else { return String::new() };
        let mut digits = Vec::new();
        loop {
            digits.push(char::from(DIGITS[rest % 62]));
            rest /= 62;
            if rest == 0 {
                return digits.into_iter().rev().collect();
            }
        }
    }
}
