//! Puts the files of `templates/` into the binary, so that `host new` works wherever it is, and offline.
//!
//! A link in a template stands for what it points at: the contract and the SDKs are in each template, and once here.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What building or running a template in its place leaves behind.
const NOT_PART_OF_IT: [&str; 6] = ["target", "node_modules", ".venv", "__pycache__", "build", "dist"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../templates").canonicalize()?;
    let mut table = String::from("&[\n");
    for language in entries(&root)? {
        let name = language.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = Vec::new();
        collect(&language, &mut files)?;
        writeln!(table, "    ({name:?}, &[")?;
        for file in files {
            let path = file.strip_prefix(&language)?.to_str().ok_or("a name that is not UTF-8")?;
            let content = file.canonicalize()?;
            writeln!(table, "        ({path:?}, include_bytes!({content:?})),")?;
        }
        table.push_str("    ]),\n");
    }
    table.push_str("]\n");
    fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("templates.rs"), table)?;
    Ok(())
}

/// In the order of their names; cargo is told to look at the folder again when one comes or goes.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    println!("cargo:rerun-if-changed={}", dir.display());
    let mut entries = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !NOT_PART_OF_IT.contains(&&*name) && !name.ends_with(".wasm")
    };
    entries.retain(is_part);
    entries.sort();
    Ok(entries)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in entries(dir)? {
        if entry.is_dir() { collect(&entry, files)? } else { files.push(entry) }
    }
    Ok(())
}
