//! What can be checked of the SDK packages without the tools of their languages: copies, links and versions.
//! `tests/conformance/packages.rs` builds the packages.

use std::fs;
use std::path::{Path, PathBuf};

const UPDATE: &str = "Update the copies with: plugins/sdk/update_copies.sh";
/// The files that the tools of the languages write into a package folder.
const BUILD_OUTPUT: [&str; 6] = ["target", "node_modules", ".venv", "__pycache__", "build", "dist"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository").to_owned()
}

/// The folders of the packages, one per language.
fn packages() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("plugins/sdk")).expect("the packages lie there");
    let mut packages: Vec<_> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    packages.sort();
    packages
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}. {UPDATE}", path.display()))
}

#[test]
fn every_language_has_a_package() {
    let names: Vec<_> = packages().iter().map(|path| path.file_name().expect("a name").to_owned()).collect();
    assert_eq!(names, ["c", "go", "js", "python", "rust"]);
}

#[test]
fn copies_of_the_contract_and_the_license_equal_the_originals() {
    for package in packages() {
        for (copy, original) in [("wit/mapper.wit", "wit/mapper.wit"), ("LICENSE", "LICENSE")] {
            let copy = package.join(copy);
            assert!(
                read(&copy) == read(&root().join(original)),
                "{} differs from {original}. {UPDATE}",
                copy.display()
            );
        }
    }
    let (copy, original) = ("plugins/sdk/c/.clang-format", "plugins/templates/c/.clang-format");
    assert!(read(&root().join(copy)) == read(&root().join(original)), "{copy} differs from {original}. {UPDATE}");
}

/// A package archive has either no file or a broken one in the place of a link.
#[test]
fn packages_and_templates_have_no_links() {
    fn links(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a type");
            if kind.is_symlink() {
                found.push(entry.path());
            } else if kind.is_dir() && !BUILD_OUTPUT.iter().any(|name| entry.file_name() == *name) {
                links(&entry.path(), found);
            }
        }
    }
    let mut found = Vec::new();
    links(&root().join("plugins/sdk"), &mut found);
    links(&root().join("plugins/templates"), &mut found);
    assert_eq!(found, Vec::<PathBuf>::new());
}

#[test]
fn packages_have_the_version_of_the_workspace() {
    let table = |path: &str| -> toml::Table { read(&root().join(path)).parse().expect("TOML") };
    let version = table("Cargo.toml")["workspace"]["package"]["version"].as_str().expect("a version").to_owned();
    let sdk = root().join("plugins/sdk");
    assert_eq!(table("plugins/sdk/rust/Cargo.toml")["package"]["version"].as_str(), Some(&*version), "rust");
    assert_eq!(table("plugins/sdk/python/pyproject.toml")["project"]["version"].as_str(), Some(&*version), "python");
    let manifest: serde_json::Value = serde_json::from_str(&read(&sdk.join("js/package.json"))).expect("JSON");
    assert_eq!(manifest["version"], *version, "js");
    let project = format!("project(mapper-sdk VERSION {version} ");
    assert!(read(&sdk.join("c/CMakeLists.txt")).contains(&project), "c: there is no '{project}'");
    // A Go module has the version of its tag; a project asks for that one.
    let require = format!("require mapper-host.internal/mapper v{version}\n");
    let template = read(&root().join("plugins/templates/go/go.mod"));
    assert!(template.contains(&require), "go: there is no '{}'", require.trim_end());
}
