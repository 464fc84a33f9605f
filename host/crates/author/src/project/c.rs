//! C: clang links all source files to a module for WASI 0.1, which the host converts to a component.

mod objects;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use objects::Objects;

use super::tools::{read_output, run, tool};
use super::{Language, MANIFEST_LIMIT, wit, wrap};
use mapper_state::files;

/// Compiler and linker, the tested version first.
const COMPILERS: [(&str, &str); 2] = [("clang-14", "wasm-ld-14"), ("clang", "wasm-ld")];
const INSTALL: &str =
    "install it with: apt-get install --no-install-recommends clang-14 lld-14 libclang-rt-14-dev-wasm32 wasi-libc";
/// Debian installs wasi-libc in `include/wasm32-wasi` and `lib/wasm32-wasi` below this path.
const SYSROOT: &str = "/usr";

const STACK_BYTES: usize = 1 << 20;
/// Directories with unit tests and build output, which are not part of the plugin.
const EXCLUDED_DIRS: [&str; 3] = ["test", "tests", "build"];
/// The object cache in a project.
const OBJECT_DIR: &str = "build/wasm";
/// `c/guard.c` wraps these functions, so that they never return NULL.
const GUARD: &str = include_str!("c/guard.c");
const GUARDED_FUNCTIONS: [&str; 4] = ["malloc", "calloc", "realloc", "aligned_alloc"];

/// Builds the project in `work`. Returns the path of the plugin.
pub(super) fn build(dir: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let sources = sources(dir).context("listing the source files")?;
    if sources.is_empty() {
        let excluded = EXCLUDED_DIRS.join(", ");
        bail!("no source files: {}: it has no *.c outside of {excluded}", dir.display());
    }
    let Toolchain { compiler, linker, version } = find_toolchain(dir)?;
    check_toolchain(compiler, linker, dir)?;
    let flags = dir.join(Language::C.manifest());
    let flags = files::read_text(&flags, MANIFEST_LIMIT).with_context(|| flags.display().to_string())?;
    let mut objects = Objects::new(dir.join(OBJECT_DIR), work, compiler, version + &flags);
    std::fs::write(work.join("guard.c"), GUARD).context("writing guard.c")?;
    let mut object_files = vec![objects.compile(|| compile(compiler, work), Path::new("guard.c"))?];
    for source in sources {
        let command = || {
            let mut command = compile(compiler, dir);
            command.arg(format!("@{}", Language::C.manifest()));
            command
        };
        object_files.push(objects.compile(command, &source)?);
    }
    let output = work.join("plugin.wasm");
    let mut link = clang(compiler, dir);
    // With the stack first in memory, an overflow traps instead of overwriting data.
    link.arg("-mexec-model=reactor").arg(format!("-Wl,--stack-first,-z,stack-size={STACK_BYTES}"));
    link.args(GUARDED_FUNCTIONS.map(|function| format!("-Wl,--wrap={function}")))
        .arg("-o")
        .arg(&output)
        .args(object_files);
    run(&mut link, compiler, INSTALL)?;
    objects.remove_unused();
    wrap::convert_in_place(&output, &wit::dir(dir, work)?, wit::RECORD_WORLD)?;
    Ok(output)
}

fn clang(compiler: &str, dir: &Path) -> Command {
    let mut command = tool(compiler, dir);
    command.args(["--target=wasm32-wasi", &format!("--sysroot={SYSROOT}")]);
    command
}

/// The flags of the project follow, so they can override these.
fn compile(compiler: &str, dir: &Path) -> Command {
    let mut command = clang(compiler, dir);
    // Trap on NULL and out-of-bounds accesses, which are valid addresses in linear memory.
    command.args(["-fsanitize=null,bounds", "-fsanitize-trap=null,bounds"]);
    // Keep the path of the project out of the plugin, for reproducible builds.
    command.args(["-O2", "-gline-tables-only", "-fdebug-compilation-dir=."]);
    command
}

/// All `*.c` files by relative path, sorted. Follows symbolic links.
fn sources(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(dir, Path::new(""), &mut BTreeSet::new(), &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(dir: &Path, below: &Path, seen: &mut BTreeSet<PathBuf>, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let here = dir.join(below);
    // A symbolic link can lead to a visited directory.
    if !seen.insert(here.canonicalize().with_context(|| here.display().to_string())?) {
        return Ok(());
    }
    let entries = std::fs::read_dir(&here).with_context(|| here.display().to_string())?;
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = below.join(&name);
        let is_hidden = name.to_string_lossy().starts_with('.');
        if here.join(&name).is_dir() {
            if !is_hidden && !EXCLUDED_DIRS.iter().any(|excluded| name == *excluded) {
                collect(dir, &path, seen, found)?;
            }
        } else if !is_hidden && path.extension().is_some_and(|extension| extension == "c") {
            // Reject special files: the compiler would block on a named pipe.
            files::open(&here.join(&name)).with_context(|| here.join(&name).display().to_string())?;
            found.push(path);
        }
    }
    Ok(())
}

struct Toolchain {
    compiler: &'static str,
    linker: &'static str,
    /// Output of `--version`.
    version: String,
}

fn find_toolchain(dir: &Path) -> anyhow::Result<Toolchain> {
    let found = COMPILERS.into_iter().find_map(|(compiler, linker)| {
        let output = tool(compiler, dir).arg("--version").output().ok()?;
        Some(Toolchain { compiler, linker, version: String::from_utf8_lossy(&output.stdout).into_owned() })
    });
    found.with_context(|| format!("'{}' is missing; {INSTALL}", COMPILERS[0].0))
}

/// Checks for the linker and the libraries, which are in separate packages.
fn check_toolchain(compiler: &str, linker: &str, dir: &Path) -> anyhow::Result<()> {
    for (part, query) in [
        ("the linker", format!("-print-prog-name={linker}")),
        ("the compiler-rt library for WebAssembly", "-print-libgcc-file-name".to_owned()),
        ("wasi-libc", "-print-file-name=libc.a".to_owned()),
    ] {
        let mut command = clang(compiler, dir);
        let answer = read_output(command.args(["--rtlib=compiler-rt", &query]), compiler, INSTALL)?;
        // For a missing file, clang prints the bare name or the expected path.
        let file = Path::new(answer.trim_end());
        if !(file.is_absolute() && file.exists()) {
            bail!("'{compiler}' did not find {part}: {}; {INSTALL}", file.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_exclude_tests_and_build_output() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for file in ["b.c", "a.c", "a.h", "src/x/y.c", "tests/t.c", "src/test/t.c", "build/z.c", ".git/g.c", ".h.c"] {
            let path = dir.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let library = tempfile::tempdir().unwrap();
        std::fs::write(library.path().join("l.c"), "").unwrap();
        std::os::unix::fs::symlink(library.path(), dir.join("lib")).unwrap();
        std::os::unix::fs::symlink(dir, dir.join("src/again")).unwrap();
        let found = sources(dir).unwrap();
        assert_eq!(found, ["a.c", "b.c", "lib/l.c", "src/x/y.c"].map(PathBuf::from));
    }

    #[test]
    fn project_without_sources_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(dir.path(), dir.path()).unwrap_err().to_string();
        assert!(error.contains("no source files: ") && error.contains("test, tests, build"), "{error}");
    }

    #[test]
    fn missing_linker_is_named_with_the_install_command() {
        // `echo` repeats the query, as clang does for a missing file.
        let error = check_toolchain("echo", "wasm-ld", Path::new("/")).unwrap_err().to_string();
        assert!(error.starts_with("'echo' did not find the linker: ") && error.ends_with(INSTALL), "{error}");
    }
}
