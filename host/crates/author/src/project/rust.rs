//! Rust: `cargo build` for the target of WASI 0.2, which makes a component by itself.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::MANIFEST_LIMIT;
use super::tools::{output_of, tool};
use mapper_state::files;
use mapper_terminal::output;

const TARGET: &str = "wasm32-wasip2";
/// The cargo profile for plugins: one that a workspace may define, see the `Cargo.toml` of this project.
const PROFILE: &str = "plugin";
const INSTALL: &str = "install Rust with rustup";

/// Builds the project, and returns where cargo left the plugin.
pub(super) fn build(dir: &Path) -> anyhow::Result<PathBuf> {
    add_target(dir)?;
    cargo_build(dir)
}

/// Adds the target that plugins are built for, if the toolchain lacks it.
fn add_target(dir: &Path) -> anyhow::Result<()> {
    let found = output_of(tool("rustc", dir).args(["--print", "target-libdir", "--target", TARGET]), "rustc", INSTALL)?;
    if Path::new(found.trim()).is_dir() {
        return Ok(());
    }
    output::eprint_line(format!("Adding the Rust target {TARGET} (rustup target add {TARGET}) …"));
    output_of(tool("rustup", dir).args(["target", "add", TARGET]), "rustup", INSTALL)
        .with_context(|| format!("the Rust target {TARGET} is missing; add it with: rustup target add {TARGET}"))?;
    Ok(())
}

fn cargo_build(dir: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = output_of(
        tool(&cargo, dir).args(["metadata", "--no-deps", "--format-version", "1"]),
        "cargo metadata",
        INSTALL,
    )?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("what cargo metadata says")?;
    let root = PathBuf::from(metadata["workspace_root"].as_str().unwrap_or_default());
    let paths = paths_as_anywhere(&root)?;
    let profile = if has_profile(&root.join("Cargo.toml"))? { PROFILE } else { "release" };
    let said = output_of(
        tool(&cargo, dir).args([
            "build",
            "--target",
            TARGET,
            "--profile",
            profile,
            "--config",
            &paths,
            "--message-format=json-render-diagnostics",
        ]),
        "cargo build",
        INSTALL,
    )?;
    let manifest = dir.join("Cargo.toml");
    said.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest))
        .filter_map(|message| {
            let files = message["filenames"].as_array()?;
            files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
        })
        .next_back()
        .context("the build made no .wasm file; a plugin's Cargo.toml has: [lib] crate-type = [\"cdylib\"]")
}

/// What makes a compiler write the same paths into a plugin wherever its project lies, in the form of `--config`. Flags in the
/// variable `RUSTFLAGS` win over it.
fn paths_as_anywhere(root: &Path) -> anyhow::Result<String> {
    let by_default = || Some(std::env::home_dir()?.join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(by_default);
    let cargo_home = cargo_home.context("there is no home folder")?;
    let written = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    // A list of texts in JSON is one in TOML, too.
    let flags = serde_json::to_string(&[written(root, "."), written(&cargo_home, "/cargo")])?;
    Ok(format!("target.{TARGET}.rustflags={flags}"))
}

fn has_profile(manifest: &Path) -> anyhow::Result<bool> {
    let text = files::read_text(manifest, MANIFEST_LIMIT).with_context(|| manifest.display().to_string())?;
    let manifest: toml::Table = text.parse().with_context(|| manifest.display().to_string())?;
    Ok(manifest.get("profile").and_then(|profiles| profiles.get(PROFILE)).is_some())
}
