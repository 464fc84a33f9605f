//! Rust: `cargo build` for the target wasm32-wasip2, which emits a component.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::MANIFEST_LIMIT;
use super::tools::{read_output, tool};
use mapper_state::files;
use mapper_terminal::output;

const TARGET: &str = "wasm32-wasip2";
/// An optional profile of the workspace, as in the `Cargo.toml` of this project.
const PROFILE: &str = "plugin";
const INSTALL: &str = "install Rust with rustup";

/// Builds the project. Returns the path of the plugin in the target directory.
pub(super) fn build(dir: &Path) -> anyhow::Result<PathBuf> {
    add_target(dir)?;
    cargo_build(dir)
}

/// Installs the target if it is missing.
fn add_target(dir: &Path) -> anyhow::Result<()> {
    let found =
        read_output(tool("rustc", dir).args(["--print", "target-libdir", "--target", TARGET]), "rustc", INSTALL)?;
    if Path::new(found.trim()).is_dir() {
        return Ok(());
    }
    output::eprint_line(format!("Adding the Rust target {TARGET} (rustup target add {TARGET}) …"));
    read_output(tool("rustup", dir).args(["target", "add", TARGET]), "rustup", INSTALL)
        .with_context(|| format!("the Rust target {TARGET} is missing; add it with: rustup target add {TARGET}"))?;
    Ok(())
}

fn cargo_build(dir: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = read_output(
        tool(&cargo, dir).args(["metadata", "--no-deps", "--format-version", "1"]),
        "cargo metadata",
        INSTALL,
    )?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).context("parsing the output of cargo metadata")?;
    let root = PathBuf::from(metadata["workspace_root"].as_str().unwrap_or_default());
    let flags = remap_path_flags(&root)?;
    let profile = if has_profile(&root.join("Cargo.toml"))? { PROFILE } else { "release" };
    let messages = read_output(
        tool(&cargo, dir).args([
            "build",
            "--target",
            TARGET,
            "--profile",
            profile,
            "--config",
            &flags,
            "--message-format=json-render-diagnostics",
        ]),
        "cargo build",
        INSTALL,
    )?;
    let manifest = dir.join("Cargo.toml");
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest))
        .filter_map(|message| {
            let files = message["filenames"].as_array()?;
            files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
        })
        .next_back()
        .context("the build created no .wasm file. Add to Cargo.toml: [lib] crate-type = [\"cdylib\"]")
}

/// A `--config` argument that removes local paths from the plugin, for reproducible builds. `RUSTFLAGS` overrides it.
fn remap_path_flags(root: &Path) -> anyhow::Result<String> {
    let by_default = || Some(std::env::home_dir()?.join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(by_default);
    let cargo_home = cargo_home.context("no home directory")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    // A JSON list of strings is valid TOML.
    let flags = serde_json::to_string(&[remap(root, "."), remap(&cargo_home, "/cargo")])?;
    Ok(format!("target.{TARGET}.rustflags={flags}"))
}

fn has_profile(manifest: &Path) -> anyhow::Result<bool> {
    let text = files::read_text(manifest, MANIFEST_LIMIT).with_context(|| manifest.display().to_string())?;
    let manifest: toml::Table = text.parse().with_context(|| manifest.display().to_string())?;
    Ok(manifest.get("profile").and_then(|profiles| profiles.get(PROFILE)).is_some())
}
