//! JavaScript and TypeScript: esbuild bundles the project and the SDK into one module. componentize-qjs combines it with QuickJS into
//! a component.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::inputs::Inputs;
use super::tools::{self, read_output, tool};
use super::{Language, MANIFEST_LIMIT, wit};
use mapper_state::files;

/// Pinned by version for reproducible plugins, and with all dependencies by hash, because the host executes them. The names and
/// versions are also the name of the installation directory.
const TOOLS: [&str; 2] = ["componentize-qjs@0.4.5", "esbuild@0.28.2"];
/// Created by `npm install --package-lock-only --omit-lockfile-registry-resolved`. The lock has hashes, but no registry, so npm uses
/// the registry of the user.
const TOOLS_MANIFEST: &str = include_str!("pins/package.json");
const TOOLS_LOCK: &str = include_str!("pins/package-lock.json");
const LOCK: &str = "package-lock.json";
const INSTALL_NODE: &str = "install Node.js 18 or newer with npm: apt-get install nodejs npm";
const MANIFEST: &str = Language::JavaScript.manifest();
/// Candidates for the module if the manifest has no `main`.
const ENTRIES: [&str; 4] = ["src/index.ts", "src/index.js", "index.ts", "index.js"];
/// The script writes the list of bundled files here.
const BUNDLED: &str = "bundled.json";
const SCRIPT: &str = include_str!("javascript/build.mjs");

#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
    /// The module with `process`.
    main: Option<String>,
    #[serde(default)]
    dependencies: serde_json::Map<String, serde_json::Value>,
}

/// Installs the dependencies of the project with npm, unless they are up to date.
pub(super) fn install(dir: &Path) -> anyhow::Result<()> {
    let manifest = read(dir)?;
    manifest.module(dir)?;
    if !manifest.dependencies.is_empty() && !is_up_to_date(dir) {
        npm(dir, &["install"])?;
    }
    Ok(())
}

/// Adds the inputs, including installed npm packages.
pub(super) fn inputs(dir: &Path, inputs: &mut Inputs) -> anyhow::Result<()> {
    inputs.project(dir)?;
    // esbuild reads these from all ancestors.
    for ancestor in dir.ancestors().skip(1) {
        ["tsconfig.json", MANIFEST].iter().try_for_each(|name| inputs.file(&ancestor.join(name)))?;
    }
    inputs.text("tools", TOOLS_LOCK);
    inputs.text("node", &read_output(tool("node", dir).arg("--version"), "node", INSTALL_NODE)?);
    inputs.environment(&["ESBUILD", "NODE"]);
    Ok(())
}

/// Whether all bundled files of the build in `work` are among these inputs.
pub(super) fn uses_only(work: &Path, inputs: &Inputs) -> bool {
    let read = || -> anyhow::Result<Vec<PathBuf>> {
        Ok(serde_json::from_slice(&files::read(&work.join(BUNDLED), MANIFEST_LIMIT)?)?)
    };
    read().is_ok_and(|files| files.iter().all(|file| file.canonicalize().is_ok_and(|file| inputs.has(&file))))
}

/// Builds the project in `work`. Returns the path of the plugin.
pub(super) fn build(dir: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    install(dir)?;
    let manifest = read(dir)?;
    let module = manifest.module(dir)?;
    let tools = tools::ensure_installed(&TOOLS.join("-").replace('@', "-"), |dir| {
        fs::create_dir(dir)?;
        fs::write(dir.join(MANIFEST), TOOLS_MANIFEST)?;
        fs::write(dir.join(LOCK), TOOLS_LOCK)?;
        // Their binaries are separate packages, so no install script is needed.
        npm(dir, &["ci", "--ignore-scripts"])
    })?;
    let (script, entry, output) = (work.join("build.mjs"), work.join("entry.js"), work.join("plugin.wasm"));
    fs::write(&script, SCRIPT)?;
    fs::write(&entry, manifest.entry(&module))?;
    let mut command = tool("node", dir);
    command.arg(script).arg(tools).arg(entry).arg(wit::dir(dir, work)?).arg(wit::BATCH_WORLD).arg(&output);
    command.arg(work.join(BUNDLED));
    tools::run(&mut command, "node", INSTALL_NODE)?;
    Ok(output)
}

fn read(dir: &Path) -> anyhow::Result<Manifest> {
    let path = dir.join(MANIFEST);
    let named = || path.display().to_string();
    serde_json::from_str(&files::read_text(&path, MANIFEST_LIMIT).with_context(named)?).with_context(named)
}

/// Whether the last npm installation is newer than manifest and lock.
fn is_up_to_date(dir: &Path) -> bool {
    let modified = |name: &str| fs::metadata(dir.join(name)).and_then(|file| file.modified()).ok();
    let installed = modified("node_modules/.package-lock.json");
    installed.is_some() && [MANIFEST, LOCK].iter().all(|name| modified(name) <= installed)
}

fn npm(dir: &Path, args: &[&str]) -> anyhow::Result<()> {
    let mut command = tool("npm", dir);
    command.args(args).args(["--no-audit", "--no-fund", "--loglevel=error"]);
    tools::run(&mut command, "npm install", INSTALL_NODE)
}

impl Manifest {
    /// The module with `process`, relative to the project.
    fn module(&self, dir: &Path) -> anyhow::Result<String> {
        if let Some(main) = &self.main {
            if !dir.join(main).is_file() {
                bail!("module not found: {main} in {}. Correct \"main\" in {MANIFEST}", dir.display());
            }
            return Ok(main.clone());
        }
        let found = ENTRIES.into_iter().find(|entry| dir.join(entry).is_file());
        found.map(str::to_owned).with_context(|| {
            format!(
                "module not found: {} in {}. If the module has another name, set it in {MANIFEST}: \"main\": \"FILE\"",
                ENTRIES.join(", "),
                dir.display()
            )
        })
    }

    /// The entry module. It creates the exports from the module of the project.
    fn entry(&self, module: &str) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let (name, version) = (text(&self.name), text(&self.version));
        let module = text(&format!("./{}", module.trim_start_matches("./")));
        format!(
            "import \"mapper-sdk/globals\";\nimport * as guest from \"mapper-sdk/guest\";\nimport * as mapper from {module};\n\
             export const plugin = guest.plugin(mapper, {name}, {version});\n\
             export const batchMapper = guest.batchMapper(mapper);\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn tools_are_pinned_by_hash_without_a_registry() {
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let (manifest, lock) = (parsed(TOOLS_MANIFEST), parsed(TOOLS_LOCK));
        let packages = lock["packages"].as_object().unwrap();
        for tool in TOOLS {
            let (name, version) = tool.split_once('@').unwrap();
            assert_eq!(manifest["dependencies"][name], version);
            assert_eq!(packages[&format!("node_modules/{name}")]["version"], version);
        }
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            let is_pinned = package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-"));
            assert!(is_pinned && package.get("resolved").is_none(), "{name}");
        }
        assert!(packages.len() > 20);
    }

    #[test]
    fn module_is_main_or_a_default_entry() {
        let dir = tempfile::tempdir().unwrap();
        let plain = manifest(r#"{"name": "a", "version": "1"}"#);
        let missing = plain.module(dir.path()).unwrap_err().to_string();
        assert!(
            missing.starts_with("module not found: src/index.ts, ") && missing.contains(r#""main": "FILE""#),
            "{missing}"
        );
        fs::write(dir.path().join("index.js"), "").unwrap();
        assert_eq!(plain.module(dir.path()).unwrap(), "index.js");
        let main = manifest(r#"{"name": "a", "version": "1", "main": "./mapper.ts"}"#);
        assert!(main.module(dir.path()).unwrap_err().to_string().contains("module not found: ./mapper.ts"));
        fs::write(dir.path().join("mapper.ts"), "").unwrap();
        assert_eq!(main.module(dir.path()).unwrap(), "./mapper.ts");
        assert!(main.entry("./mapper.ts").contains("import * as mapper from \"./mapper.ts\";"));
    }

    #[test]
    fn name_is_escaped_in_the_entry_module() {
        let entry = manifest(r#"{"name": "a\"b\\", "version": "1"}"#).entry("a.js");
        assert!(entry.contains(r#"guest.plugin(mapper, "a\"b\\", "1")"#), "{entry}");
    }

    #[test]
    fn npm_installation_is_outdated_after_manifest_or_lock_changes() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, seconds: u64| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            fs::File::create(path).unwrap().set_modified(time).unwrap();
        };
        write(MANIFEST, 1000);
        assert!(!is_up_to_date(dir.path()));
        write("node_modules/.package-lock.json", 2000);
        assert!(is_up_to_date(dir.path()));
        write("package-lock.json", 3000);
        assert!(!is_up_to_date(dir.path()));
    }
}
