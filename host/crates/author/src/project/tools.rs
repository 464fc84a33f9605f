//! Runs the tools of a language, and names what is missing with the command that installs it. Tools that no machine has are
//! installed once, into a folder of the host's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail};

use mapper_state::files::PrivateDir;
use mapper_state::files::folders::Folder;
use mapper_terminal::output;

/// A tool that runs in the project's folder. What it says on stderr is the author's to read, as it is.
pub(super) fn tool(name: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// Runs a tool and returns what it writes to stdout.
pub(super) fn output_of(command: &mut Command, name: &str, install: &str) -> anyhow::Result<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| missing(&error, name, install))?;
    check(name, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a tool that says what there is to say on stderr or stdout; both go to stderr, and stdout remains the host's.
pub(super) fn run(command: &mut Command, name: &str, install: &str) -> anyhow::Result<()> {
    let status = command.stdout(output::inherited_stderr()).status().map_err(|error| missing(&error, name, install))?;
    check(name, status)
}

fn missing(error: &std::io::Error, name: &str, install: &str) -> anyhow::Error {
    anyhow::anyhow!("'{name}' can't be run ({error}); {install}")
}

fn check(name: &str, status: ExitStatus) -> anyhow::Result<()> {
    if !status.success() {
        bail!("'{name}' failed ({status})");
    }
    Ok(())
}

/// The folder of an installed tool. When it isn't there yet, `install` is called with the folder, once on this machine:
/// others wait for it.
pub(super) fn installed(name: &str, install: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    install_in(&folder()?, name, install)
}

/// Where a tool is, once it is installed.
pub(super) fn place(name: &str) -> anyhow::Result<PathBuf> {
    Ok(folder()?.join(name))
}

fn folder() -> anyhow::Result<PathBuf> {
    let cache = Folder::Cache.find(|name| std::env::var_os(name));
    let cache = cache.context("there is no directory for tools: neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("tools"))
}

fn install_in(tools: &Path, name: &str, install: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let (dir, complete) = (tools.join(name), format!("{name}.complete"));
    let named = || dir.display().to_string();
    // What is installed there is run.
    let tools = PrivateDir::open(tools)
        .context("tools can't be installed; name a directory that only this user can change in XDG_CACHE_HOME")?;
    let lock = tools.open_or_create(&format!("{name}.lock")).with_context(named)?;
    lock.lock().with_context(named)?;
    if !tools.has(&complete) {
        // What an earlier attempt may have left is of no use.
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
    fn a_tool_is_installed_once_and_again_after_a_failure() {
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
    fn a_missing_tool_is_named_with_the_way_to_get_it() {
        let error = run(&mut tool("no-such-tool", Path::new("/")), "no-such-tool", "apt-get install it").unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("'no-such-tool' can't be run (") && error.ends_with("; apt-get install it"),
            "{error}"
        );
        let error = run(&mut tool("false", Path::new("/")), "false", "").unwrap_err().to_string();
        assert!(error.starts_with("'false' failed (exit status: 1"), "{error}");
    }
}
