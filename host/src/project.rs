//! From a plugin project to a plugin: `host build DIR` makes `NAME.wasm` beside the project.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

const TARGET: &str = "wasm32-wasip2";
/// The cargo profile for plugins: one that a workspace may define, see the `Cargo.toml` of this project.
const PROFILE: &str = "plugin";

/// Builds the project in `dir`, and puts the plugin at `output`, or where [`plugin_of`] says.
///
/// # Errors
/// When `dir` holds no project, a tool is missing, or the build fails; what the tools say of it stands on stderr then.
pub fn build(dir: &Path, output: Option<&Path>) -> anyhow::Result<PathBuf> {
    if !dir.join("Cargo.toml").is_file() {
        bail!("{} is no plugin project: it has no Cargo.toml", dir.display());
    }
    let output = match output {
        Some(output) => output.to_owned(),
        None => plugin_of(dir)?,
    };
    let dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
    add_target(&dir)?;
    let built = cargo_build(&dir)?;
    copy(&built, &output).with_context(|| format!("writing the plugin to {}", output.display()))?;
    Ok(output)
}

/// The project that makes this plugin, if it lies beside where the plugin should be, or around it: `plugins/x` for
/// `plugins/x.wasm` and for `plugins/x/x.wasm`.
pub fn of_plugin(plugin: &Path) -> Option<PathBuf> {
    let beside = plugin.with_extension("");
    let around = plugin.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    let around = around.filter(|dir| dir.canonicalize().is_ok_and(|dir| dir.file_name() == plugin.file_stem()));
    let is_project = |dir: &PathBuf| dir.join("Cargo.toml").is_file();
    let found = [Some(beside), around.map(Path::to_owned)].into_iter().flatten().find(is_project);
    found.filter(|_| plugin.extension().is_some_and(|extension| extension == "wasm"))
}

/// Where the plugin of a project goes: beside the project under its name, or into it, when one works in there (`.`).
///
/// # Errors
/// When the folder can't be found, or has no name.
pub fn plugin_of(dir: &Path) -> anyhow::Result<PathBuf> {
    let named = || dir.display().to_string();
    let whole = dir.canonicalize().with_context(named)?;
    let name = whole.file_name().with_context(|| format!("{} has no name", dir.display()))?;
    let mut name = name.to_owned();
    name.push(".wasm");
    if whole == Path::new(".").canonicalize().with_context(named)? {
        return Ok(name.into());
    }
    // As the user wrote it, if that says where it is.
    Ok(if dir.file_name() == whole.file_name() { dir.with_file_name(name) } else { whole.with_file_name(name) })
}

/// Replaces the file in one step, so that whoever watches it never sees half a plugin.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".building-").tempfile_in(dir)?;
    std::io::copy(&mut std::fs::File::open(from)?, &mut file)?;
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(to)?;
    Ok(())
}

fn tool(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(dir);
    command
}

fn output_of(command: &mut Command, name: &str) -> anyhow::Result<String> {
    let missing = || format!("'{name}' can't be run; install Rust with rustup");
    let output = command.stderr(Stdio::inherit()).output().with_context(missing)?;
    if !output.status.success() {
        bail!("'{name}' failed ({})", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Adds the target that plugins are built for, if the toolchain lacks it.
fn add_target(dir: &Path) -> anyhow::Result<()> {
    let found = output_of(tool("rustc", dir).args(["--print", "target-libdir", "--target", TARGET]), "rustc")?;
    if Path::new(found.trim()).is_dir() {
        return Ok(());
    }
    eprintln!("Adding the Rust target {TARGET} (rustup target add {TARGET}) …");
    output_of(tool("rustup", dir).args(["target", "add", TARGET]), "rustup")
        .with_context(|| format!("the Rust target {TARGET} is missing; add it with: rustup target add {TARGET}"))?;
    Ok(())
}

fn cargo_build(dir: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata =
        output_of(tool(&cargo, dir).args(["metadata", "--no-deps", "--format-version", "1"]), "cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("what cargo metadata says")?;
    let root = PathBuf::from(metadata["workspace_root"].as_str().unwrap_or_default());
    let profile = if has_profile(&root.join("Cargo.toml"))? { PROFILE } else { "release" };
    let said = output_of(
        tool(&cargo, dir).args([
            "build",
            "--target",
            TARGET,
            "--profile",
            profile,
            "--message-format=json-render-diagnostics",
        ]),
        "cargo build",
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

fn has_profile(manifest: &Path) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    let manifest: toml::Table = text.parse().with_context(|| manifest.display().to_string())?;
    Ok(manifest.get("profile").and_then(|profiles| profiles.get(PROFILE)).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_found_beside_its_plugin() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("pick");
        std::fs::create_dir(&project).unwrap();
        assert_eq!(of_plugin(&dir.path().join("pick.wasm")), None);
        std::fs::write(project.join("Cargo.toml"), "").unwrap();
        assert_eq!(of_plugin(&dir.path().join("pick.wasm")), Some(project.clone()));
        assert_eq!(of_plugin(&project.join("pick.wasm")), Some(project.clone()));
        assert_eq!(of_plugin(&project.join("other.wasm")), None);
        assert_eq!(of_plugin(&project), None);
        assert_eq!(plugin_of(&project).unwrap(), dir.path().join("pick.wasm"));
        assert_eq!(plugin_of(&project.join("../pick")).unwrap(), project.join("../pick.wasm"));
        let here = Path::new(".").canonicalize().unwrap();
        let name = format!("{}.wasm", here.file_name().unwrap().to_string_lossy());
        assert_eq!(plugin_of(Path::new(".")).unwrap(), PathBuf::from(name));
    }

    #[test]
    fn what_is_no_project_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(dir.path(), None).unwrap_err().to_string();
        assert_eq!(error, format!("{} is no plugin project: it has no Cargo.toml", dir.path().display()));
    }
}
