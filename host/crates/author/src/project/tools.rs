//! Runs the tools of a language. The error for a missing tool has the command that installs it. Tools that are not in Linux
//! distributions are installed once, into the cache directory of the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail};

use mapper_state::files::PrivateDir;
use mapper_state::files::folders::Folder;
use mapper_terminal::output;

/// A command that runs in the directory of the project. Its stderr is passed through.
pub(super) fn tool(name: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// Runs a tool and returns its stdout.
pub(super) fn read_output(command: &mut Command, name: &str, install: &str) -> anyhow::Result<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| spawn_error(&error, name, install))?;
    check(name, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a tool. Its stdout goes to stderr, because stdout belongs to the host.
pub(super) fn run(command: &mut Command, name: &str, install: &str) -> anyhow::Result<()> {
    let status =
        command.stdout(output::inherited_stderr()).status().map_err(|error| spawn_error(&error, name, install))?;
    check(name, status)
}

fn spawn_error(error: &std::io::Error, name: &str, install: &str) -> anyhow::Error {
    anyhow::anyhow!("failed to run '{name}': {error}; {install}")
}

fn check(name: &str, status: ExitStatus) -> anyhow::Result<()> {
    if !status.success() {
        bail!("'{name}' failed ({status})");
    }
    Ok(())
}

/// Returns the directory of a tool. Calls `install` if it is missing. A lock makes concurrent builds wait for the installation.
pub(super) fn ensure_installed(
    name: &str,
    install: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    install_in(&tools_dir()?, name, install)
}

/// The directory of a tool, which may not be installed yet.
pub(super) fn tool_dir(name: &str) -> anyhow::Result<PathBuf> {
    Ok(tools_dir()?.join(name))
}

fn tools_dir() -> anyhow::Result<PathBuf> {
    let cache = Folder::Cache.find(|name| std::env::var_os(name));
    let cache = cache.context("no directory for tools: neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("tools"))
}

fn install_in(tools: &Path, name: &str, install: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let (dir, complete) = (tools.join(name), format!("{name}.complete"));
    let named = || dir.display().to_string();
    // The host executes these tools, so only this user may be able to write to the directory.
    let tools = PrivateDir::open(tools).context(
        "failed to open the directory for tools. Set XDG_CACHE_HOME to a directory that only this user can write to",
    )?;
    let lock = tools.open_or_create(&format!("{name}.lock")).with_context(named)?;
    lock.lock().with_context(named)?;
    if !tools.has(&complete) {
        // Remove the remains of a failed installation.
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(named)?;
        }
        output::eprint_line(format!("Installing {name} into {} …", dir.display()));
        install(&dir).with_context(|| format!("installing {name}"))?;
        tools.write(&complete, b"").with_context(named)?;
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_is_installed_once_and_retried_after_a_failure() {
        let tools = tempfile::tempdir().unwrap();
        let failed = install_in(tools.path(), "saw-1.0", |dir| {
            fs::create_dir(dir)?;
            bail!("no wood")
        });
        assert_eq!(format!("{:#}", failed.unwrap_err()), "installing saw-1.0: no wood");
        let dir = install_in(tools.path(), "saw-1.0", |dir| Ok(fs::create_dir(dir)?)).unwrap();
        assert_eq!(dir, tools.path().join("saw-1.0"));
        assert_eq!(install_in(tools.path(), "saw-1.0", |_| unreachable!()).unwrap(), dir);
    }

    #[test]
    fn missing_tool_error_has_the_install_command() {
        let error = run(&mut tool("no-such-tool", Path::new("/")), "no-such-tool", "apt-get install it").unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("failed to run 'no-such-tool': ") && error.ends_with("; apt-get install it"),
            "{error}"
        );
        let error = run(&mut tool("false", Path::new("/")), "false", "").unwrap_err().to_string();
        assert!(error.starts_with("'false' failed (exit status: 1"), "{error}");
    }
}
