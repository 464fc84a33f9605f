//! Go: the standard compiler emits a module for WASI 0.1, which the host converts to a component.

use std::path::{Path, PathBuf};

use super::inputs::Inputs;
use super::tools::{read_output, run, tool};
use super::{wit, wrap};

const INSTALL: &str = "install Go 1.24 or newer (https://go.dev/doc/install), and add its bin directory to PATH";

/// Builds the project in `work`. Returns the path of the plugin.
pub(super) fn build(dir: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let output = work.join("plugin.wasm");
    let mut command = tool("go", dir);
    command.env("GOOS", "wasip1").env("GOARCH", "wasm").args(["build", "-buildmode=c-shared"]);
    // Keep paths and repository state out of the plugin, for reproducible builds.
    command.args(["-trimpath", "-buildvcs=false"]);
    // The SDK links to an allocator function of the Go runtime, which the linker otherwise forbids.
    command.args(["-ldflags=-checklinkname=0", "-o"]).arg(&output).arg(".");
    run(&mut command, "go build", INSTALL)?;
    wrap::convert_in_place(&output, &wit::dir(dir, work)?, wit::BATCH_WORLD)?;
    Ok(output)
}

/// Go settings that affect a build, from variables or from `go env -w`.
const SETTINGS: [&str; 8] =
    ["GOVERSION", "GOROOT", "GOFLAGS", "GOEXPERIMENT", "GOWASM", "GOWORK", "GOTOOLCHAIN", "GO111MODULE"];

/// Adds the inputs of the project. Its `go.sum` has the digests of remote modules.
pub(super) fn inputs(dir: &Path, inputs: &mut Inputs) -> anyhow::Result<()> {
    let settings = read_output(tool("go", dir).arg("env").args(SETTINGS), "go env", INSTALL)?;
    inputs.text("go", &settings);
    if let Some(workspace) = settings.lines().nth(5).filter(|path| Path::new(path).is_file()) {
        inputs.file(Path::new(workspace))?;
    }
    inputs.project(dir)?;
    // Modules in local directories, such as the SDK.
    let local = "{{if or .Main (and .Replace (not .Replace.Version))}}{{.Dir}}{{end}}";
    let modules = read_output(tool("go", dir).args(["list", "-m", "-f", local, "all"]), "go list", INSTALL)?;
    modules.lines().filter(|dir| !dir.is_empty()).try_for_each(|dir| inputs.project(Path::new(dir)))
}
