//! Backtraces as text, with the files and lines of the guest's source where it was built with them.
//!
//! A place in the code is looked up once, in a helper process: what the debug information of a plugin says, and how much of it, is
//! its author's to choose. Without an answer a backtrace has the names of functions only.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::WasmBacktrace;

use super::dwarf::{self, Frame};
use super::helper::{self, Symbolizer};

/// How many backtraces are remembered: a plugin traps at a few places, again and again.
const MAX_REMEMBERED: usize = 256;
/// How much of the name of a function, or of a file, is shown, in bytes: both are the guest's to choose.
const MAX_NAME_BYTES: usize = 500;
/// A longer name is not demangled, in bytes.
const MAX_MANGLED_BYTES: usize = 8 << 10;
/// After so many failures the debug information of a plugin is not read any more: each may take seconds.
const MAX_FAILURES: u32 = 2;

/// The source of a plugin's code.
#[derive(Default)]
pub(super) struct Symbols {
    lookup: Mutex<Option<Lookup>>,
    remembered: Mutex<HashMap<Vec<usize>, Arc<str>>>,
}

/// Where the source of an offset is looked up.
struct Lookup {
    program: &'static Path,
    component: Arc<[u8]>,
    /// It ends by itself when it is idle.
    running: Option<Symbolizer>,
    failures: u32,
}

impl Symbols {
    /// Those of a component, if it has any that can be read.
    pub(super) fn of(component: &[u8]) -> Self {
        let lookup = match (helper::program(), dwarf::is_readable(component)) {
            (Some(program), Ok(true)) => {
                Some(Lookup { program, component: component.into(), running: None, failures: 0 })
            }
            (_, Ok(_)) => None,
            (_, Err(reason)) => {
                tracing::warn!(
                    reason,
                    "backtraces of this plugin have function names only: skipped its debug information"
                );
                None
            }
        };
        Self { lookup: Mutex::new(lookup), ..Self::default() }
    }

    /// The backtrace as text: a line for each frame, and the files and lines below it.
    pub(super) fn backtrace(&self, trace: &WasmBacktrace) -> Arc<str> {
        let key: Vec<usize> = trace.frames().iter().map(|frame| frame.module_offset().unwrap_or(0)).collect();
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = remembered().get(&key) {
            return known.clone();
        }
        let offsets: Vec<u64> = key.iter().map(|offset| *offset as u64).collect();
        let text: Arc<str> = render(trace, self.look_up(&offsets)).into();
        let mut remembered = remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, text.clone());
        text
    }

    /// The functions of the source at each offset; none where they are not known.
    fn look_up(&self, offsets: &[u64]) -> Vec<Vec<Frame>> {
        let mut lookup = self.lookup.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(active) = lookup.as_mut() else { return Vec::new() };
        match active.look_up(offsets) {
            Ok(frames) => frames,
            Err(reason) => {
                active.failures += 1;
                let given_up = active.failures >= MAX_FAILURES;
                tracing::warn!(
                    reason,
                    given_up,
                    "a backtrace has function names only: failed to read debug information"
                );
                if given_up {
                    *lookup = None;
                }
                Vec::new()
            }
        }
    }
}

impl Lookup {
    fn look_up(&mut self, offsets: &[u64]) -> Result<Vec<Vec<Frame>>, String> {
        if let Some(running) = self.running.take()
            && let Ok(frames) = running.look_up(offsets)
        {
            self.running = Some(running);
            return Ok(frames);
        }
        let started = Symbolizer::start(self.program, self.component.clone())?;
        let frames = started.look_up(offsets)?;
        self.running = Some(started);
        Ok(frames)
    }
}

fn render(trace: &WasmBacktrace, found: Vec<Vec<Frame>>) -> String {
    let mut found = found.into_iter();
    let mut text = "error while executing at wasm backtrace:".to_owned();
    for (number, frame) in trace.frames().iter().enumerate() {
        // Writing to a string can't fail.
        let _ = write!(text, "\n  {number:>3}: {:#8x} - ", frame.module_offset().unwrap_or(0));
        let inlined = found.next().filter(|frames| !frames.is_empty());
        for (index, source) in inlined.unwrap_or_else(|| vec![Frame::default()]).into_iter().enumerate() {
            if index > 0 {
                text.push_str("\n                - ");
            }
            match source.function {
                Some(name) => text.push_str(&name),
                None => {
                    let function = match frame.func_name() {
                        Some(name) => demangled(name),
                        None => format!("<wasm function {}>", frame.func_index()),
                    };
                    text.extend([&demangled(frame.module().name().unwrap_or("<unknown>")), "!", &function]);
                }
            }
            if let Some(location) = source.location {
                text.extend(["\n                    at ", &location]);
            }
        }
    }
    text
}

/// A name as its author wrote it.
pub(super) fn demangled(name: &str) -> String {
    let readable = (name.len() <= MAX_MANGLED_BYTES).then(|| rustc_demangle::try_demangle(name).ok()).flatten();
    match readable {
        Some(readable) => {
            let mut cut = Cut(String::new());
            // Ends with an error as soon as there is enough: some bytes of a name can stand for a million.
            let _ = write!(cut, "{readable:#}");
            shown(&cut.0)
        }
        None => shown(name),
    }
}

/// A text that takes no more than is shown.
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_NAME_BYTES - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

/// A text that the guest chose, in one line.
pub(super) fn shown(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(MAX_NAME_BYTES)];
    cut.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_demangled_cut_and_kept_in_their_line() {
        assert_eq!(demangled("_ZN4core9panicking9panic_fmt17h0123456789abcdefE"), "core::panicking::panic_fmt");
        assert_eq!(demangled("plain_c"), "plain_c");
        assert_eq!(demangled("two\nlines"), "two\u{fffd}lines");
        assert_eq!(demangled(&"x".repeat(10_000)).len(), MAX_NAME_BYTES);
    }

    #[test]
    fn name_that_stands_for_a_million_characters_is_cut() {
        // Each tuple refers twice to the one before: 2^20 names in the end.
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
        let shown = demangled(&name);
        assert!(shown.starts_with("a::b::<") && shown.len() <= MAX_NAME_BYTES, "{shown}");
        let deep = format!("_RMC0{}p", "R".repeat(5000));
        assert!(demangled(&deep).len() <= MAX_NAME_BYTES);
    }

    /// A number of a name of Rust's v0 mangling, without its last `_`.
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
