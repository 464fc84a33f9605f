//! Python: componentize-py bundles the module, the interpreter and the SDK into a component.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::inputs::Inputs;
use super::tools::{self, tool};
use super::{Language, MANIFEST_LIMIT, wit};
use mapper_state::files;

/// Pinned by version for reproducible plugins, and by hash because the host executes it.
const COMPONENTIZE_PY: &str = "componentize-py";
const VERSION: &str = "0.25.1";
const REQUIREMENTS: &str = include_str!("pins/componentize-py.txt");
const INSTALL_PYTHON: &str = "install Python 3.10 or newer: apt-get install python3 python3-venv";
const MANIFEST: &str = Language::Python.manifest();
/// The entry module for componentize-py. It creates the exports from the module of the project.
const ENTRY: &str = "mapper_host_entry";

#[derive(Deserialize)]
struct Manifest {
    project: Project,
    #[serde(default)]
    tool: Tool,
}

#[derive(Deserialize)]
struct Project {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct Tool {
    #[serde(default)]
    mapper_host: Options,
}

/// `[tool.mapper-host]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The module with `process`. The default is the name of the project.
    module: Option<String>,
    /// Additional module directories, relative to the project.
    #[serde(default)]
    path: Vec<PathBuf>,
}

/// Builds the project in `work`. Returns the path of the plugin.
pub(super) fn build(dir: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let manifest = read(dir)?;
    let module = manifest.module();
    let paths = manifest.paths(dir);
    find_module(&module, &paths)?;
    let entry = entry(&manifest.project, &module);
    let entries = work.join("entry");
    std::fs::create_dir(&entries)?;
    std::fs::write(entries.join(format!("{ENTRY}.py")), entry)?;

    let tools = tools::ensure_installed(&tool_name(), |venv| install(dir, venv))?;
    let python = tools.join("bin/python");
    let output = work.join("plugin.wasm");
    let mut command = tool(tools.join("bin").join(COMPONENTIZE_PY), dir);
    command.arg("--wit-path").arg(wit::dir(dir, work)?).args(["--world", wit::BATCH_WORLD, "componentize", ENTRY]);
    command.arg("--output").arg(&output).arg("--python-path").arg(entries);
    for path in paths {
        command.arg("--python-path").arg(path);
    }
    if !manifest.project.dependencies.is_empty() {
        command.arg("--python-path").arg(install_dependencies(dir, work, &python, &manifest.project.dependencies)?);
    }
    // No Rust backtrace of the tool below the Python traceback, and no __pycache__ in the source directories.
    command.env("RUST_BACKTRACE", "0").env("PYTHONDONTWRITEBYTECODE", "1");
    tools::run(&mut command, COMPONENTIZE_PY, INSTALL_PYTHON)?;
    Ok(output)
}

pub(super) fn inputs(dir: &Path, inputs: &mut Inputs) -> anyhow::Result<()> {
    let manifest = read(dir)?;
    inputs.project(dir)?;
    manifest.paths(dir).iter().try_for_each(|path| inputs.project(path))?;
    inputs.text(COMPONENTIZE_PY, REQUIREMENTS);
    // pyvenv.cfg has the Python version, which affects the resolution of dependencies.
    let venv = tools::tool_dir(&tool_name())?;
    inputs.file(&venv.join("pyvenv.cfg"))?;
    inputs.environment(&["PIP_", "PYTHON"]);
    Ok(())
}

fn tool_name() -> String {
    format!("{COMPONENTIZE_PY}-{VERSION}")
}

fn read(dir: &Path) -> anyhow::Result<Manifest> {
    let path = dir.join(MANIFEST);
    let named = || path.display().to_string();
    let text = files::read_text(&path, MANIFEST_LIMIT).with_context(named)?;
    toml::from_str(&text).with_context(named)
}

impl Manifest {
    fn module(&self) -> String {
        let by_name = || self.project.name.replace(['-', '.'], "_");
        self.tool.mapper_host.module.clone().unwrap_or_else(by_name)
    }

    /// Module directories: `src`, the project, and the configured paths.
    fn paths(&self, dir: &Path) -> Vec<PathBuf> {
        let more = self.tool.mapper_host.path.iter().map(|path| dir.join(path));
        [dir.join("src"), dir.to_owned()].into_iter().chain(more).filter(|path| path.is_dir()).collect()
    }
}

fn find_module(module: &str, paths: &[PathBuf]) -> anyhow::Result<()> {
    let relative = module.replace('.', "/");
    let found = |path: &PathBuf| path.join(format!("{relative}.py")).is_file() || path.join(&relative).is_dir();
    if paths.iter().any(found) {
        return Ok(());
    }
    let dirs: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    bail!(
        "module not found: '{module}' in {}. If the module has another name than the project, set it in {MANIFEST}:\n\n    \
         [tool.mapper-host]\n    module = \"NAME\"\n",
        dirs.join(", ")
    )
}

fn entry(project: &Project, module: &str) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let (name, version) = (text(&project.name), text(&project.version));
    format!(
        "import {module}\nfrom mapper_sdk import _guest\n\n\
         Plugin = _guest.plugin({module}, {name}, {version})\nBatchMapper = _guest.batch_mapper({module})\n"
    )
}

/// Installs componentize-py into a virtual environment that is independent of the project.
fn install(dir: &Path, venv: &Path) -> anyhow::Result<()> {
    tools::run(tool("python3", dir).args(["-m", "venv"]).arg(venv), "python3 -m venv", INSTALL_PYTHON)
        .context(INSTALL_PYTHON)?;
    let requirements = venv.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    let requirements = requirements.to_str().context("the path of the tools directory is not UTF-8")?;
    // Wheels only, because building the source archive needs tools that are not pinned.
    let args = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", requirements];
    pip(dir, &venv.join("bin/python"), &args)
}

fn pip(dir: &Path, python: &Path, args: &[&str]) -> anyhow::Result<()> {
    let mut command = tool(python, dir);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(args);
    tools::run(&mut command, "pip install", INSTALL_PYTHON)
}

/// Installs the dependencies of the project into a directory. Only pure Python packages work in WebAssembly.
fn install_dependencies(dir: &Path, work: &Path, python: &Path, requirements: &[String]) -> anyhow::Result<PathBuf> {
    let target = work.join("dependencies");
    let mut args = vec!["--target", target.to_str().context("the path of the build directory is not UTF-8")?];
    args.extend(requirements.iter().map(String::as_str));
    pip(dir, python, &args)?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Result<Manifest, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn module_defaults_to_the_project_name() {
        let project = "[project]\nname = \"my-mapper\"\nversion = \"1.2\"\n";
        assert_eq!(manifest(project).unwrap().module(), "my_mapper");
        let other = format!("{project}[tool.mapper-host]\nmodule = \"pack.age\"\n");
        assert_eq!(manifest(&other).unwrap().module(), "pack.age");
        let mistyped = format!("{project}[tool.mapper-host]\nmodul = \"x\"\n");
        assert!(manifest(&mistyped).err().unwrap().to_string().contains("modul"));
        assert!(manifest("[project]\nname = \"x\"\n").err().unwrap().to_string().contains("version"));
    }

    #[test]
    fn module_is_found_in_the_project_or_in_src() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = manifest("[project]\nname = \"a\"\nversion = \"1\"\n").unwrap();
        let find = |module| find_module(module, &manifest.paths(dir.path()));
        let missing = find("pack.age").unwrap_err().to_string();
        assert!(missing.contains("module not found: 'pack.age' in") && missing.contains("module = \"NAME\""));
        std::fs::create_dir_all(dir.path().join("src/pack")).unwrap();
        std::fs::write(dir.path().join("src/pack/age.py"), "").unwrap();
        find("pack.age").unwrap();
        find("pack").unwrap();
        std::fs::write(dir.path().join("flat.py"), "").unwrap();
        find("flat").unwrap();
    }

    #[test]
    fn tool_is_pinned_by_the_hashes_of_its_wheels() {
        let words: Vec<&str> =
            REQUIREMENTS.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| *word != "\\").collect();
        assert_eq!(words[0], format!("{COMPONENTIZE_PY}=={VERSION}"));
        let is_hash = |word: &&str| word.strip_prefix("--hash=sha256:").is_some_and(|hash| hash.len() == 64);
        assert!(words.len() > 4 && words[1..].iter().all(is_hash), "{words:?}");
    }

    #[test]
    fn name_is_escaped_in_the_entry_module() {
        let project = Project { name: "a\"b\\".to_owned(), version: "1".to_owned(), dependencies: vec![] };
        assert!(entry(&project, "a").contains(r#"_guest.plugin(a, "a\"b\\", "1")"#));
    }
}
