//! Go: the standard compiler makes a module for WASI 0.1, and the host a component of it.

use std::path::{Path, PathBuf};

use super::tools::{run, tool};
use super::{wit, wrap};

const INSTALL: &str = "install Go 1.24 or newer, as its own site tells, and put its bin folder on the PATH";

/// Builds the project in `work`, and returns the plugin.
pub(super) fn build(dir: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let output = work.join("plugin.wasm");
    let mut command = tool("go", dir);
    command.env("GOOS", "wasip1").env("GOARCH", "wasm").args(["build", "-buildmode=c-shared"]);
    // Neither where the project lies nor the state of its repository is part of the plugin: the same source, the same digest.
    command.args(["-trimpath", "-buildvcs=false"]);
    // The SDK's memory comes from the runtime's own function, which the linker otherwise keeps to the runtime.
    command.args(["-ldflags=-checklinkname=0", "-o"]).arg(&output).arg(".");
    run(&mut command, "go build", INSTALL)?;
    wrap::in_place(&output, &wit::folder(dir, work)?, wit::RECORD_WORLD)?;
    Ok(output)
}
