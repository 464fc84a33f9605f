//! Embeds the files of `plugins/templates/` in the binary, with the SDKs and the contract that a project has a copy of, so that
//! `mapper-host new` works in any folder and offline.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Build output in the directory of a template or an SDK.
const BUILD_OUTPUT: [&str; 6] = ["target", "node_modules", ".venv", "__pycache__", "build", "dist"];

/// The contract, which a project has in this file, and an SDK in a copy of its own.
const WIT: &str = "wit/mapper.wit";

/// Copies of files and folders of this repository in the projects of a language: the path in the project, and the path here.
const COPIES: [(&str, &[(&str, &str)]); 6] = [
    ("c", &[("mapper", "plugins/sdk/c/src"), (WIT, WIT)]),
    ("go", &[("mapper", "plugins/sdk/go"), (WIT, WIT)]),
    ("javascript", &[("mapper-sdk", "plugins/sdk/js"), (WIT, WIT)]),
    ("python", &[("mapper_sdk", "plugins/sdk/python/mapper_sdk"), (WIT, WIT)]),
    // The crate is compiled with the contract in its own folder: a second copy would have no effect.
    ("rust", &[("vendor/mapper-sdk", "plugins/sdk/rust"), ("vendor/mapper-sdk/rustfmt.toml", "rustfmt.toml")]),
    ("typescript", &[("mapper-sdk", "plugins/sdk/js"), (WIT, WIT)]),
];

/// Directory of the minimal projects: for each language, the files that differ.
const BARE: &str = "bare";
/// Lists the paths that a minimal project omits, one per line.
const WITHOUT: &str = "without";

/// Files by their paths in a project.
type Files = BTreeMap<String, PathBuf>;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../..").canonicalize()?;
    let templates = root.join("plugins/templates");
    let mut table = String::from("&[\n");
    for language in entries(&templates)?.into_iter().filter(|dir| !dir.ends_with(BARE)) {
        let name = language.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut visits = files(&language)?;
        visits.extend(copies(&root, &name)?);
        let bare = bare(&visits, &templates.join(BARE).join(&name))?;
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

/// The files of the SDK and the contract in a project of this language.
fn copies(root: &Path, language: &str) -> Result<Files, Box<dyn Error>> {
    let (_, copies) = COPIES.iter().find(|(name, _)| *name == language).ok_or("a language needs its row of COPIES")?;
    let mut copied = Files::new();
    for (to, from) in *copies {
        let from = root.join(from);
        if from.is_dir() {
            let has_wit = copies.iter().any(|(path, _)| *path == WIT);
            let files = files(&from)?.into_iter().filter(|(path, _)| !(has_wit && path == WIT));
            copied.extend(files.map(|(path, file)| (format!("{to}/{path}"), file)));
        } else {
            println!("cargo:rerun-if-changed={}", from.display());
            copied.insert((*to).to_owned(), from);
        }
    }
    Ok(copied)
}

/// Derives the minimal project: removes the paths in `without`, and adds the files of `own`.
fn bare(visits: &Files, own: &Path) -> Result<Files, Box<dyn Error>> {
    let mut own = files(own)?;
    let without = fs::read_to_string(own.remove(WITHOUT).ok_or("a bare project needs a file 'without'")?)?;
    let is_omitted = |path: &str| without.lines().any(|omitted| Path::new(path).starts_with(omitted));
    let mut bare = visits.clone();
    bare.retain(|path, _| !is_omitted(path));
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

/// Sorted by name. Makes cargo rerun this script after a change in the directory.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    println!("cargo:rerun-if-changed={}", dir.display());
    let mut entries = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !BUILD_OUTPUT.contains(&&*name) && !name.ends_with(".wasm") && !name.ends_with(".tgz")
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
