//! C: clang makes one module for WASI 0.1 of all source files, and the host a component of it.

mod objects;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use objects::Objects;

use super::tools::{output_of, run, tool};
use super::{Language, MANIFEST_LIMIT, wit, wrap};
use mapper_state::files;

/// The compiler that plugins are tested with, and what another one is called.
const COMPILERS: [(&str, &str); 2] = [("clang-14", "wasm-ld-14"), ("clang", "wasm-ld")];
const INSTALL: &str =
    "install it with: apt-get install --no-install-recommends clang-14 lld-14 libclang-rt-14-dev-wasm32 wasi-libc";
/// Where Debian has the C library of WASI: in `include/wasm32-wasi` and `lib/wasm32-wasi` below it.
const SYSROOT: &str = "/usr";

const STACK_BYTES: usize = 1 << 20;
/// Folders whose sources are no part of the plugin: its unit tests, and what they leave behind.
const OTHERS: [&str; 3] = ["test", "tests", "build"];
/// Where compiled sources are kept in a project.
const KEPT: &str = "build/wasm";
/// The functions that `c/guard.c` has a word for: they never return NULL to a plugin.
const GUARD: &str = include_str!("c/guard.c");
const GUARDED: [&str; 4] = ["malloc", "calloc", "realloc", "aligned_alloc"];

/// Builds the project in `work`, and returns the plugin.
pub(super) fn build(dir: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let sources = sources(dir).context("the source files of the project")?;
    if sources.is_empty() {
        let others = OTHERS.join(", ");
        bail!("{} has no source file: all *.c in it are the plugin, but for those in {others}", dir.display());
    }
    let (compiler, linker, version) = compiler(dir)?;
    check_parts(compiler, linker, dir)?;
    let flags = dir.join(Language::C.manifest());
    let flags = files::read_text(&flags, MANIFEST_LIMIT).with_context(|| flags.display().to_string())?;
    let mut objects = Objects::new(dir.join(KEPT), work, compiler, version + &flags);
    std::fs::write(work.join("guard.c"), GUARD).context("the guard of malloc")?;
    let mut linked = vec![objects.object(|| compile(compiler, work), Path::new("guard.c"))?];
    for source in sources {
        let command = || {
            let mut command = compile(compiler, dir);
            command.arg(format!("@{}", Language::C.manifest()));
            command
        };
        linked.push(objects.object(command, &source)?);
    }
    let output = work.join("plugin.wasm");
    let mut link = clang(compiler, dir);
    // Below the stack there is nothing: who overflows it traps, instead of writing over his own data.
    link.arg("-mexec-model=reactor").arg(format!("-Wl,--stack-first,-z,stack-size={STACK_BYTES}"));
    link.args(GUARDED.map(|function| format!("-Wl,--wrap={function}"))).arg("-o").arg(&output).args(linked);
    run(&mut link, compiler, INSTALL)?;
    objects.tidy();
    wrap::in_place(&output, &wit::folder(dir, work)?, wit::RECORD_WORLD)?;
    Ok(output)
}

fn clang(compiler: &str, dir: &Path) -> Command {
    let mut command = tool(compiler, dir);
    command.args(["--target=wasm32-wasi", &format!("--sysroot={SYSROOT}")]);
    command
}

/// What the project itself says comes behind this, and may overrule it.
fn compile(compiler: &str, dir: &Path) -> Command {
    let mut command = clang(compiler, dir);
    // An access through NULL, or beyond an array whose length is known, is a trap: the sandbox itself has bytes at both.
    command.args(["-fsanitize=null,bounds", "-fsanitize-trap=null,bounds"]);
    // Where the project lies is no part of the plugin: the same source, the same digest.
    command.args(["-O2", "-gline-tables-only", "-fdebug-compilation-dir=."]);
    command
}

/// Every `*.c` in the project and its folders, links followed, by their paths in it; in an order of their own.
fn sources(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(dir, Path::new(""), &mut BTreeSet::new(), &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(dir: &Path, below: &Path, seen: &mut BTreeSet<PathBuf>, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let here = dir.join(below);
    // A folder that a link leads to again was taken already.
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
            if !is_hidden && !OTHERS.iter().any(|other| name == *other) {
                collect(dir, &path, seen, found)?;
            }
        } else if !is_hidden && path.extension().is_some_and(|extension| extension == "c") {
            // The compiler would wait for a writer of a named pipe.
            files::open(&here.join(&name)).with_context(|| here.join(&name).display().to_string())?;
            found.push(path);
        }
    }
    Ok(())
}

/// The compiler and its linker, by the names under which they are installed, and what the compiler says of itself.
fn compiler(dir: &Path) -> anyhow::Result<(&'static str, &'static str, String)> {
    let found = COMPILERS.into_iter().find_map(|(compiler, linker)| {
        let said = tool(compiler, dir).arg("--version").output().ok()?;
        Some((compiler, linker, String::from_utf8_lossy(&said.stdout).into_owned()))
    });
    found.with_context(|| format!("'{}' is missing; {INSTALL}", COMPILERS[0].0))
}

/// Checks that there is what a compiler alone has not, each in a package of its own.
fn check_parts(compiler: &str, linker: &str, dir: &Path) -> anyhow::Result<()> {
    for (what, question) in [
        ("its linker", format!("-print-prog-name={linker}")),
        ("its own library for WebAssembly", "-print-libgcc-file-name".to_owned()),
        ("the C library of WASI", "-print-file-name=libc.a".to_owned()),
    ] {
        let mut command = clang(compiler, dir);
        let answer = output_of(command.args(["--rtlib=compiler-rt", &question]), compiler, INSTALL)?;
        // What it doesn't find is answered with the bare name, or with where it should be.
        let file = Path::new(answer.trim_end());
        if !(file.is_absolute() && file.exists()) {
            bail!("'{compiler}' lacks {what} ({}); {INSTALL}", file.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_all_but_those_of_tests() {
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
    fn a_project_without_sources_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(dir.path(), dir.path()).unwrap_err().to_string();
        assert!(error.contains("has no source file") && error.contains("test, tests, build"), "{error}");
    }

    #[test]
    fn what_the_compiler_lacks_is_named_with_the_way_to_get_it() {
        // It repeats the question, as a compiler does that finds nothing.
        let error = check_parts("echo", "wasm-ld", Path::new("/")).unwrap_err().to_string();
        assert!(error.starts_with("'echo' lacks its linker (") && error.ends_with(INSTALL), "{error}");
    }
}
