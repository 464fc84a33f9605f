//! Functions, files and lines of places in a component's code, from its debug information (DWARF).
//!
//! Its reader has no bounds of its own: it runs in a helper process only.

use std::collections::HashMap;
use std::ops::Range;

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian};
use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};

use super::symbols::{demangled, shown};

/// Debug information, and line tables in it, that are larger are not read, in bytes. They take about 20 times as much memory.
const MAX_DEBUG_BYTES: u64 = 48 << 20;
const MAX_LINE_BYTES: u64 = 16 << 20;
/// More functions than these are not shown as inlined at one place.
const MAX_INLINED: usize = 32;

type Context<'a> = addr2line::Context<EndianSlice<'a, LittleEndian>>;

/// A function of the source at a place in the code.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// Its name.
    pub(super) function: Option<String>,
    /// The file, line and column.
    pub(super) location: Option<String>,
}

/// Whether a component has debug information, of a size that is read.
///
/// # Errors
/// Why it is not read although it is there.
pub(super) fn is_readable(component: &[u8]) -> Result<bool, String> {
    let (mut all, mut lines) = (0, 0);
    for (name, data) in sections(component) {
        all += data.len() as u64;
        lines += if name == ".debug_line" { data.len() as u64 } else { 0 };
    }
    for (what, bytes, most) in [("line tables", lines, MAX_LINE_BYTES), ("sections", all, MAX_DEBUG_BYTES)] {
        if bytes > most {
            return Err(format!("its {what} have {bytes} bytes; {most} at most are read"));
        }
    }
    Ok(all > 0)
}

fn sections(component: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let payloads = Parser::new(0).parse_all(component).map_while(Result::ok);
    payloads.filter_map(|payload| match payload {
        Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
            Some((section.name(), section.data()))
        }
        _ => None,
    })
}

/// The debug information of a component.
pub(super) struct DebugInfo<'a> {
    modules: Vec<Module<'a>>,
}

/// That of one core module of it.
struct Module<'a> {
    /// Where its code is in the file. Addresses of the debug information begin there.
    code: Range<u64>,
    /// The sections `.debug_…` by their names.
    sections: HashMap<&'a str, &'a [u8]>,
}

impl<'a> DebugInfo<'a> {
    /// Picks the debug information out of a component. What is not valid has none.
    pub(super) fn of(component: &'a [u8]) -> Self {
        let mut modules: Vec<Module<'_>> = Vec::new();
        // The sections of a module follow its code, and modules don't contain each other.
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            match payload {
                Payload::CodeSectionStart { range, .. } => {
                    modules.push(Module { code: range, sections: HashMap::new() });
                }
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                    if let Some(module) = modules.last_mut() {
                        module.sections.insert(section.name(), section.data());
                    }
                }
                _ => {}
            }
        }
        modules.retain(|module| !module.sections.is_empty());
        Self { modules }
    }

    /// What is looked up in.
    pub(super) fn contexts(&self) -> Contexts<'_> {
        let context = |module: &Module<'a>| {
            let section = |name: &str| module.sections.get(name).copied().unwrap_or_default();
            let load = |id: addr2line::gimli::SectionId| Ok(EndianSlice::new(section(id.name()), LittleEndian));
            let dwarf = Dwarf::load(load).map_err(|never: std::convert::Infallible| match never {}).ok()?;
            Some((module.code.clone(), Context::from_dwarf(dwarf).ok()?))
        };
        Contexts(self.modules.iter().filter_map(context).collect())
    }
}

/// The readers of the debug information of all modules, by the range of their code in the file.
pub(super) struct Contexts<'a>(Vec<(Range<u64>, Context<'a>)>);

impl Contexts<'_> {
    /// The functions at an offset in the file, the innermost of those that were inlined first.
    pub(super) fn frames(&self, offset: u64) -> Vec<Frame> {
        let Some((code, context)) = self.0.iter().find(|(code, _)| code.contains(&offset)) else { return Vec::new() };
        let mut frames = Vec::new();
        let Ok(mut found) = context.find_frames(offset - code.start).skip_all_loads() else { return frames };
        // What is malformed ends it.
        while let Some(frame) = found.next().ok().flatten().filter(|_| frames.len() < MAX_INLINED) {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.and_then(|location| {
                let number = |number: Option<u32>| number.map(|number| format!(":{number}")).unwrap_or_default();
                Some(format!("{}{}{}", shown(location.file?), number(location.line), number(location.column)))
            });
            frames.push(Frame { function: name.map(|name| demangled(&name)), location });
        }
        frames
    }
}
