//! Python: componentize-py puts the module, with the interpreter and the SDK, into a component.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::inputs::Inputs;
use super::tools::{self, tool};
use super::{Language, MANIFEST_LIMIT, wit};
use mapper_state::files;

/// Pinned by version, for another one may make another plugin of the same source, and by hash, for it is run.
const COMPONENTIZE_PY: &str = "componentize-py";
const VERSION: &str = "0.25.1";
const REQUIREMENTS: &str = include_str!("pins/componentize-py.txt");
const INSTALL_PYTHON: &str = "install Python 3.10 or newer: apt-get install python3 python3-venv";
const MANIFEST: &str = Language::Python.manifest();
/// The module that componentize-py starts from: it makes the exports out of the author's module.
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
    /// The module that has `process`; the project's name when not given.
    module: Option<String>,
    /// More folders in which modules are found, relative to the project.
    #[serde(default)]
    path: Vec<PathBuf>,
}

/// Builds the project in `work`, and returns the plugin.
pub(super) fn build(dir: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let manifest = read(dir)?;
    let module = manifest.module();
    let paths = manifest.paths(dir);
    find_module(&module, &paths)?;
    let entry = entry(&manifest.project, &module);
    let entries = work.join("entry");
    std::fs::create_dir(&entries)?;
    std::fs::write(entries.join(format!("{ENTRY}.py")), entry)?;

    let tools = tools::installed(&tool_name(), |venv| install(dir, venv))?;
    let python = tools.join("bin/python");
    let output = work.join("plugin.wasm");
    let mut command = tool(tools.join("bin").join(COMPONENTIZE_PY), dir);
    command.arg("--wit-path").arg(wit::folder(dir, work)?).args(["--world", wit::BATCH_WORLD, "componentize", ENTRY]);
    command.arg("--output").arg(&output).arg("--python-path").arg(entries);
    for path in paths {
        command.arg("--python-path").arg(path);
    }
    if !manifest.project.dependencies.is_empty() {
        command.arg("--python-path").arg(dependencies(dir, work, &python, &manifest.project.dependencies)?);
    }
    // Below the author's own traceback it would show that of the tool; and the source folders remain as they are.
    command.env("RUST_BACKTRACE", "0").env("PYTHONDONTWRITEBYTECODE", "1");
    tools::run(&mut command, COMPONENTIZE_PY, INSTALL_PYTHON)?;
    Ok(output)
}

/// Adds what the project is built from.
pub(super) fn inputs(dir: &Path, inputs: &mut Inputs) -> anyhow::Result<()> {
    let manifest = read(dir)?;
    inputs.project(dir)?;
    manifest.paths(dir).iter().try_for_each(|path| inputs.project(path))?;
    inputs.text(COMPONENTIZE_PY, REQUIREMENTS);
    // It has the version of Python, for which pip chooses what the project depends on.
    let venv = tools::place(&tool_name())?;
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

    /// Where modules are found: as a Python project has them, in its folder or in `src`.
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
    let places: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    bail!(
        "there is no module '{module}' in {}; if the mapper has another name than the project, {MANIFEST} says it:\n\n    \
         [tool.mapper-host]\n    module = \"NAME\"\n",
        places.join(", ")
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

/// componentize-py in a virtual environment of its own, whatever the project has.
fn install(dir: &Path, venv: &Path) -> anyhow::Result<()> {
    tools::run(tool("python3", dir).args(["-m", "venv"]).arg(venv), "python3 -m venv", INSTALL_PYTHON)
        .context(INSTALL_PYTHON)?;
    let requirements = venv.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS)?;
    let requirements = requirements.to_str().context("the directory of tools is not UTF-8")?;
    // Without the source archive: to build that would take tools that are not pinned.
    let args = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", requirements];
    pip(dir, &venv.join("bin/python"), &args)
}

fn pip(dir: &Path, python: &Path, args: &[&str]) -> anyhow::Result<()> {
    let mut command = tool(python, dir);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(args);
    tools::run(&mut command, "pip install", INSTALL_PYTHON)
}

/// What the project depends on, unpacked into a folder. Only pure Python can work: other packages are for another machine.
fn dependencies(dir: &Path, work: &Path, python: &Path, wanted: &[String]) -> anyhow::Result<PathBuf> {
    let target = work.join("dependencies");
    let mut args = vec!["--target", target.to_str().context("the folder to build in is not UTF-8")?];
    args.extend(wanted.iter().map(String::as_str));
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
    fn the_module_is_that_of_the_project_unless_it_says_another() {
        let project = "[project]\nname = \"my-mapper\"\nversion = \"1.2\"\n";
        assert_eq!(manifest(project).unwrap().module(), "my_mapper");
        let other = format!("{project}[tool.mapper-host]\nmodule = \"pack.age\"\n");
        assert_eq!(manifest(&other).unwrap().module(), "pack.age");
        let mistyped = format!("{project}[tool.mapper-host]\nmodul = \"x\"\n");
        assert!(manifest(&mistyped).err().unwrap().to_string().contains("modul"));
        assert!(manifest("[project]\nname = \"x\"\n").err().unwrap().to_string().contains("version"));
    }

    #[test]
    fn a_module_is_found_in_the_folder_or_in_src() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = manifest("[project]\nname = \"a\"\nversion = \"1\"\n").unwrap();
        let find = |module| find_module(module, &manifest.paths(dir.path()));
        let missing = find("pack.age").unwrap_err().to_string();
        assert!(missing.contains("there is no module 'pack.age' in") && missing.contains("module = \"NAME\""));
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
    fn a_name_can_not_break_out_of_the_entry() {
        let project = Project { name: "a\"b\\".to_owned(), version: "1".to_owned(), dependencies: vec![] };
        assert!(entry(&project, "a").contains(r#"_guest.plugin(a, "a\"b\\", "1")"#));
    }
}
