//! Compiles the text of a file: only from the texts that are given, and without access to files.

use std::collections::HashMap;

use prost_reflect::FileDescriptor;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::error::SchemaError;
use crate::limits::Limits;

/// Messages, options and groups within each other; the parser has no limit of its own.
const MAX_NESTING: usize = 64;

pub(super) fn compile(text: &str, references: &[(&str, &str)], limits: Limits) -> Result<FileDescriptor, SchemaError> {
    limits.check_schema(text, references.iter().map(|(_, text)| *text))?;
    for text in references.iter().map(|(_, text)| *text).chain([text]) {
        check_nesting(text)?;
    }
    // A registry has no names for files, other than those of references.
    let mut name = "schema.proto".to_owned();
    while references.iter().any(|(reference, _)| *reference == name) {
        name.insert(0, '_');
    }
    let files = references.iter().copied().chain([(name.as_str(), text)]);
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(files.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    // From the innermost import to the outermost, so that no chain of imports is deep.
    for (file, _) in references.iter().copied().chain([(name.as_str(), "")]) {
        compiler
            .open_file(file)
            .map_err(|error| SchemaError::new(format!("the schema can't be compiled: {error:#}")))?;
    }
    let file = compiler.descriptor_pool().get_file_by_name(&name);
    file.ok_or_else(|| SchemaError::new("the schema can't be compiled: it has no file"))
}

struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Counts brackets outside of strings and comments.
fn check_nesting(text: &str) -> Result<(), SchemaError> {
    let mut depth = 0_usize;
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let skipped = match byte {
            b'{' | b'[' | b'(' | b'<' => {
                depth += 1;
                0
            }
            b'}' | b']' | b')' | b'>' => {
                depth = depth.saturating_sub(1);
                0
            }
            b'"' | b'\'' => string_len(after, byte),
            b'/' if after.first() == Some(&b'/') => after.iter().take_while(|byte| **byte != b'\n').count(),
            b'/' if after.first() == Some(&b'*') => {
                after.windows(2).skip(1).position(|window| window == b"*/").map_or(after.len(), |end| end + 3)
            }
            _ => 0,
        };
        if depth > MAX_NESTING {
            return Err(SchemaError::new(format!("the schema has more than {MAX_NESTING} levels of brackets")));
        }
        rest = &rest[skipped..];
    }
    Ok(())
}

/// The size of a string behind its first quote.
fn string_len(text: &[u8], quote: u8) -> usize {
    let mut is_escaped = false;
    let end = text.iter().position(|&byte| {
        let is_end = byte == b'\n' || byte == quote && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 1)
}
