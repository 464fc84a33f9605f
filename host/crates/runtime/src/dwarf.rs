//! Maps code offsets of a component to functions, files and lines, using its debug information (DWARF).
//!
//! `addr2line` limits neither its time nor its memory, so this code runs in a helper process only.

use std::collections::HashMap;
use std::ops::Range;

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian};
use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};

use super::symbols::{demangle, printable};

/// `addr2line` needs about 20 times the size of these sections, so larger ones are skipped.
const MAX_DEBUG_BYTES: u64 = 48 << 20;
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Inlined functions shown for one offset.
const MAX_INLINED: usize = 32;

type Context<'a> = addr2line::Context<EndianSlice<'a, LittleEndian>>;

/// A source function at a code offset.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frame {
    pub(super) function: Option<String>,
    /// `file:line:column`.
    pub(super) location: Option<String>,
}

/// Whether a component has debug information.
///
/// # Errors
/// The debug information exceeds a size limit.
pub(super) fn is_readable(component: &[u8]) -> Result<bool, String> {
    let (mut all, mut lines) = (0, 0);
    for (name, data) in sections(component) {
        all += data.len() as u64;
        lines += if name == ".debug_line" { data.len() as u64 } else { 0 };
    }
    for (what, bytes, limit) in [("line tables", lines, MAX_LINE_BYTES), ("debug sections", all, MAX_DEBUG_BYTES)] {
        if bytes > limit {
            return Err(format!("the {what} have {bytes} bytes: the limit is {limit}"));
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

pub(super) struct DebugInfo<'a> {
    modules: Vec<Module<'a>>,
}

/// The debug information of one core module.
struct Module<'a> {
    /// Range of the code section in the file. DWARF addresses are relative to its start.
    code: Range<u64>,
    /// `.debug_*` sections by name.
    sections: HashMap<&'a str, &'a [u8]>,
}

impl<'a> DebugInfo<'a> {
    /// Collects the debug sections. A malformed component yields the modules before the error.
    pub(super) fn parse(component: &'a [u8]) -> Self {
        let mut modules: Vec<Module<'_>> = Vec::new();
        // The sections of a module follow its code, and modules don't contain each other.
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            match payload {
                Payload::CodeSectionStart { range, .. } => {
                    let code = range.start as u64..range.end as u64;
                    modules.push(Module { code, sections: HashMap::new() });
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

/// `addr2line` contexts of all modules, with the range of each code section in the file.
pub(super) struct Contexts<'a>(Vec<(Range<u64>, Context<'a>)>);

impl Contexts<'_> {
    /// The functions at a file offset, innermost inlined function first.
    pub(super) fn frames(&self, offset: u64) -> Vec<Frame> {
        let Some((code, context)) = self.0.iter().find(|(code, _)| code.contains(&offset)) else { return Vec::new() };
        let mut frames = Vec::new();
        let Ok(mut found) = context.find_frames(offset - code.start).skip_all_loads() else { return frames };
        // Malformed debug information ends the list of frames.
        while let Some(frame) = found.next().ok().flatten().filter(|_| frames.len() < MAX_INLINED) {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let location = frame.location.and_then(|location| {
                let number = |number: Option<u32>| number.map(|number| format!(":{number}")).unwrap_or_default();
                Some(format!("{}{}{}", printable(location.file?), number(location.line), number(location.column)))
            });
            frames.push(Frame { function: name.map(|name| demangle(&name)), location });
        }
        frames
    }
}
