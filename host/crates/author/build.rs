//! Puts the files of `templates/` into the binary, so that `mapper-host new` works wherever it is, and offline.
//!
//! A link in a template stands for what it points at: the contract and the SDKs are in each template, and once here.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What building or running a template in its place leaves behind.
const NOT_PART_OF_IT: [&str; 6] = ["target", "node_modules", ".venv", "__pycache__", "build", "dist"];

/// The folder of the projects without visits: in each language, what differs from the others.
const BARE: &str = "bare";
/// What a project without visits has not, a path a line.
const WITHOUT: &str = "without";

/// Files by their paths in a project.
type Files = BTreeMap<String, PathBuf>;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../../templates").canonicalize()?;
    let mut table = String::from("&[\n");
    for language in entries(&root)?.into_iter().filter(|dir| !dir.ends_with(BARE)) {
        let name = language.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let visits = files(&language)?;
        let bare = bare(&visits, &root.join(BARE).join(&name))?;
        writeln!(table, "    EmbeddedProject {{\n        language: {name:?},")?;
        write_files(&mut table, "visits", &visits)?;
        write_files(&mut table, "bare", &bare)?;
        table.push_str("    },\n");
    }
    table.push_str("]\n");
    fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("templates.rs"), table)?;
    Ok(())
}

fn write_files(table: &mut String, field: &str, files: &Files) -> Result<(), Box<dyn Error>> {
    writeln!(table, "        {field}: &[")?;
    for (path, file) in files {
        writeln!(table, "            ({path:?}, include_bytes!({:?})),", file.canonicalize()?)?;
    }
    table.push_str("        ],\n");
    Ok(())
}

/// The project with visits, without what is about visits, and with the files of `own`.
fn bare(visits: &Files, own: &Path) -> Result<Files, Box<dyn Error>> {
    let mut own = files(own)?;
    let without = fs::read_to_string(own.remove(WITHOUT).ok_or("a bare project needs a file 'without'")?)?;
    let is_about_visits = |path: &str| without.lines().any(|dropped| Path::new(path).starts_with(dropped));
    let mut bare = visits.clone();
    bare.retain(|path, _| !is_about_visits(path));
    bare.extend(own);
    Ok(bare)
}

fn files(dir: &Path) -> Result<Files, Box<dyn Error>> {
    let mut found = Vec::new();
    collect(dir, &mut found)?;
    let file =
        |file: PathBuf| Ok((file.strip_prefix(dir)?.to_str().ok_or("a name that is not UTF-8")?.to_owned(), file));
    found.into_iter().map(file).collect()
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
