//! Go: the standard compiler makes a module for WASI 0.1, and the host a component of it.

use std::path::{Path, PathBuf};

use super::inputs::Inputs;
use super::tools::{output_of, run, tool};
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

/// The settings of Go that a build depends on, be they variables or in its own file.
const SETTINGS: [&str; 8] =
    ["GOVERSION", "GOROOT", "GOFLAGS", "GOEXPERIMENT", "GOWASM", "GOWORK", "GOTOOLCHAIN", "GO111MODULE"];

/// Adds what the project is built from: modules of others are named in its `go.sum`, by their digests.
pub(super) fn inputs(dir: &Path, inputs: &mut Inputs) -> anyhow::Result<()> {
    let settings = output_of(tool("go", dir).arg("env").args(SETTINGS), "go env", INSTALL)?;
    inputs.text("go", &settings);
    if let Some(workspace) = settings.lines().nth(5).filter(|path| Path::new(path).is_file()) {
        inputs.file(Path::new(workspace))?;
    }
    inputs.project(dir)?;
    // Those that lie in a folder of this machine, as the SDK.
    let local = "{{if or .Main (and .Replace (not .Replace.Version))}}{{.Dir}}{{end}}";
    let modules = output_of(tool("go", dir).args(["list", "-m", "-f", local, "all"]), "go list", INSTALL)?;
    modules.lines().filter(|dir| !dir.is_empty()).try_for_each(|dir| inputs.project(Path::new(dir)))
}
