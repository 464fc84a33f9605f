//! Backtraces with the files and lines of the guest's source, where it was built with them.
//!
//! wasmtime can do it, too, but reads the debug information anew for every frame of every trap: 84 ms for a trap of a guest in Rust.
//! Here a place in the code is looked up once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian};
use wasmparser::{Parser, Payload};
use wasmtime::WasmBacktrace;

/// How many backtraces are remembered: a plugin traps at a few places, again and again.
const MAX_REMEMBERED: usize = 256;
/// How much of the name of a function, or of a file, is shown, in bytes: both are the guest's to choose.
const MAX_NAME_BYTES: usize = 500;

type Context<'a> = addr2line::Context<EndianSlice<'a, LittleEndian>>;

/// The debug information of a plugin.
#[derive(Default)]
pub(super) struct Symbols {
    modules: Vec<Module>,
    remembered: Mutex<HashMap<Vec<usize>, Arc<str>>>,
}

/// That of one core module of a component.
struct Module {
    /// Where its code is in the file. Addresses of the debug information begin there.
    code: Range<u64>,
    /// The sections `.debug_…` by their names.
    sections: HashMap<String, Vec<u8>>,
}

impl Symbols {
    /// Picks the debug information out of a component. What is not valid has none.
    pub(super) fn of(component: &[u8]) -> Self {
        let mut modules: Vec<Module> = Vec::new();
        // The sections of a module follow its code, and modules don't contain each other.
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            match payload {
                Payload::CodeSectionStart { range, .. } => {
                    modules.push(Module { code: range, sections: HashMap::new() });
                }
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                    if let Some(module) = modules.last_mut() {
                        module.sections.insert(section.name().to_owned(), section.data().to_vec());
                    }
                }
                _ => {}
            }
        }
        modules.retain(|module| !module.sections.is_empty());
        Self { modules, remembered: Mutex::default() }
    }

    /// The backtrace as text: a line for each frame, and the files and lines below it.
    pub(super) fn backtrace(&self, trace: &WasmBacktrace) -> Arc<str> {
        let key: Vec<usize> = trace.frames().iter().map(|frame| frame.module_offset().unwrap_or(0)).collect();
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = remembered().get(&key) {
            return known.clone();
        }
        let text: Arc<str> = self.render(trace).into();
        let mut remembered = remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, text.clone());
        text
    }

    fn render(&self, trace: &WasmBacktrace) -> String {
        let contexts: Vec<Option<Context<'_>>> = self.modules.iter().map(Module::context).collect();
        let mut text = "error while executing at wasm backtrace:".to_owned();
        for (number, frame) in trace.frames().iter().enumerate() {
            let offset = frame.module_offset();
            // Writing to a string can't fail.
            let _ = write!(text, "\n  {number:>3}: {:#8x} - ", offset.unwrap_or(0));
            let found =
                offset.and_then(|offset| self.modules.iter().position(|module| module.code.contains(&(offset as u64))));
            let inlined = found.zip(offset).and_then(|(module, offset)| {
                let address = offset as u64 - self.modules[module].code.start;
                Some(places(contexts[module].as_ref()?, address))
            });
            let module = frame.module().name().unwrap_or("<unknown>");
            let function = match frame.func_name() {
                Some(name) => demangled(name),
                None => format!("<wasm function {}>", frame.func_index()),
            };
            let inlined = inlined.filter(|places| !places.is_empty());
            for (index, place) in inlined.unwrap_or_else(|| vec![Place::default()]).into_iter().enumerate() {
                if index > 0 {
                    text.push_str("\n                - ");
                }
                match place.function {
                    Some(name) => text.push_str(&name),
                    None => text.extend([&demangled(module), "!", &function]),
                }
                if let Some(place) = place.place {
                    text.extend(["\n                    at ", &place]);
                }
            }
        }
        text
    }
}

impl Module {
    fn context(&self) -> Option<Context<'_>> {
        let section = |name: &str| self.sections.get(name).map_or(&[][..], Vec::as_slice);
        let load = |id: addr2line::gimli::SectionId| Ok(EndianSlice::new(section(id.name()), LittleEndian));
        let dwarf = Dwarf::load(load).map_err(|never: std::convert::Infallible| match never {}).ok()?;
        Context::from_dwarf(dwarf).ok()
    }
}

#[derive(Default)]
struct Place {
    function: Option<String>,
    place: Option<String>,
}

/// The functions at an address, the innermost of those that were inlined first.
fn places(context: &Context<'_>, address: u64) -> Vec<Place> {
    let mut places = Vec::new();
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else { return places };
    // What is malformed ends it.
    while let Ok(Some(frame)) = frames.next() {
        let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
        let place = frame.location.and_then(|location| {
            let line = |number: Option<u32>| number.map(|number| format!(":{number}")).unwrap_or_default();
            Some(format!("{}{}{}", shown(location.file?), line(location.line), line(location.column)))
        });
        places.push(Place { function: name.map(|name| demangled(&name)), place });
    }
    places
}

/// A name as its author wrote it.
fn demangled(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        Ok(name) => shown(&format!("{name:#}")),
        Err(_) => shown(name),
    }
}

/// A text that the guest chose, in one line.
fn shown(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(MAX_NAME_BYTES)];
    cut.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_has_no_symbols() {
        for bytes in [&b""[..], b"hello", b"\0asm\x0d\0\x01\0", b"\0asm\x0d\0\x01\0\x01\xff\xff"] {
            assert!(Symbols::of(bytes).modules.is_empty());
        }
    }

    #[test]
    fn names_are_demangled_cut_and_kept_in_their_line() {
        assert_eq!(demangled("_ZN4core9panicking9panic_fmt17h0123456789abcdefE"), "core::panicking::panic_fmt");
        assert_eq!(demangled("plain_c"), "plain_c");
        assert_eq!(demangled("two\nlines"), "two\u{fffd}lines");
        assert_eq!(demangled(&"x".repeat(10_000)).len(), MAX_NAME_BYTES);
    }
}
