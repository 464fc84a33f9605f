//! What a component declares at its surface, without compiling it.

use wasmparser::{Parser, Payload};

use super::contract::{Exports, World};
use super::imports::Import;

/// The contract and the imports of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The version of its contract exports.
    pub contract: Option<String>,
    pub world: Option<World>,
    pub imports: Vec<Import>,
}

impl Outline {
    /// Reads the content of a file; `None` if it is not a component.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_usize);
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.ok()? {
                Payload::Version { encoding: wasmparser::Encoding::Module, .. } if depth == 0 => return None,
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        imports.push(Import::classify(import.ok()?.name.name));
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        exports.push(export.ok()?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Some(Self::new(imports, Exports::from_names(exports)))
    }

    pub(super) fn new(imports: Vec<Import>, exports: Exports) -> Self {
        Self { world: exports.world().ok(), contract: exports.version, imports }
    }
}
