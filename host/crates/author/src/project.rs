//! Builds plugin projects: `mapper-host build DIR` creates `NAME.wasm` beside the project, with the tools of its language.

mod c;
mod go;
mod inputs;
mod javascript;
mod python;
mod rust;
mod stamp;
mod tools;
mod wit;
mod wrap;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use inputs::Inputs;
use mapper_state::files::PLUGIN_LIMIT;
use mapper_state::files::{self, Limit};
use stamp::Stamp;

const MANIFEST_LIMIT: Limit = Limit::new("a manifest", 4 << 20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// Go.
    Go,
    /// JavaScript or TypeScript.
    JavaScript,
    /// C.
    C,
}

impl Language {
    /// In the order of detection.
    pub const ALL: [Self; 5] = [Self::Rust, Self::Python, Self::Go, Self::JavaScript, Self::C];

    /// The file that identifies a project of this language.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Python => "pyproject.toml",
            Self::Go => "go.mod",
            Self::JavaScript => "package.json",
            Self::C => "compile_flags.txt",
        }
    }

    pub fn detect(dir: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|language| dir.join(language.manifest()).is_file())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    pub plugin: PathBuf,
    /// False if the existing plugin was up to date.
    pub is_new: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// If sources, SDK, tools or their settings have changed, or the plugin file was replaced.
    WhenChanged,
    Always,
}

/// Builds the project in `dir`. The plugin goes to `output`, or to [`plugin_path`].
///
/// # Errors
/// `dir` is not a project, a tool is missing, or the build failed. The tools write their messages to stderr.
pub fn build(dir: &Path, output: Option<&Path>, rebuild: Rebuild) -> anyhow::Result<Built> {
    let Some(language) = Language::detect(dir) else {
        let manifests = Language::ALL.map(Language::manifest).join(", ");
        bail!("not a plugin project: {}: it has no {manifests}", dir.display());
    };
    let plugin = match output {
        Some(output) => output.to_owned(),
        None => plugin_path(dir)?,
    };
    let dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
    let inputs_before = language.inputs(&dir)?;
    let stamp = Stamp::find(&dir, &plugin).zip(inputs_before);
    if let Some((stamp, before)) = stamp.as_ref().filter(|_| rebuild == Rebuild::WhenChanged)
        && stamp.is_current(&before.finish(), &plugin)
    {
        return Ok(Built { plugin, is_new: false });
    }
    let work = tempfile::Builder::new().prefix("mapper-build-").tempdir().context("creating a build directory")?;
    let built = match language {
        Language::Rust => rust::build(&dir),
        Language::Python => python::build(&dir, work.path()),
        Language::Go => go::build(&dir, work.path()),
        Language::JavaScript => javascript::build(&dir, work.path()),
        Language::C => c::build(&dir, work.path()),
    }?;
    let content =
        files::read(&built, PLUGIN_LIMIT).with_context(|| format!("reading the build result {}", built.display()))?;
    write(&content, &plugin).with_context(|| format!("writing the plugin to {}", plugin.display()))?;
    if let Some((stamp, before)) = stamp {
        let is_complete = language != Language::JavaScript || javascript::uses_only(work.path(), &before);
        // A file that changed during the build may not be in the plugin.
        let after = language.inputs(&dir)?.filter(|after| is_complete && after.finish() == before.finish());
        if let Some(inputs) = after {
            stamp.write(inputs.finish(), &content);
        }
    }
    Ok(Built { plugin, is_new: true })
}

impl Language {
    /// The inputs of the build. `None` if the tools detect changes themselves, or the inputs are unknown.
    ///
    /// # Errors
    /// The installation of npm packages failed.
    fn inputs(self, dir: &Path) -> anyhow::Result<Option<Inputs>> {
        let add: fn(&Path, &mut Inputs) -> anyhow::Result<()> = match self {
            // Cargo and the object cache of C detect changes themselves.
            Self::Rust | Self::C => return Ok(None),
            Self::Python => python::inputs,
            Self::Go => go::inputs,
            Self::JavaScript => {
                // Install first, because the installed packages are inputs.
                javascript::install(dir)?;
                javascript::inputs
            }
        };
        let inputs = Inputs::new().and_then(|mut inputs| {
            add(dir, &mut inputs)?;
            Ok(inputs)
        });
        // The build reports the error, if it matters.
        Ok(inputs.inspect_err(|error| tracing::debug!(%error, "failed to read the inputs of the build")).ok())
    }
}

/// Finds the project of a plugin: `plugins/x` for `plugins/x.wasm` and for `plugins/x/x.wasm`.
pub fn find_for_plugin(plugin: &Path) -> Option<PathBuf> {
    let beside = plugin.with_extension("");
    let parent = plugin.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    let parent = parent.filter(|dir| dir.canonicalize().is_ok_and(|dir| dir.file_name() == plugin.file_stem()));
    let is_project = |dir: &PathBuf| Language::detect(dir).is_some();
    let found = [Some(beside), parent.map(Path::to_owned)].into_iter().flatten().find(is_project);
    found.filter(|_| plugin.extension().is_some_and(|extension| extension == "wasm"))
}

/// The default path of a plugin: beside the project with its name, or in the project if that is the current directory (`.`).
///
/// # Errors
/// The directory doesn't exist, or has no name.
pub fn plugin_path(dir: &Path) -> anyhow::Result<PathBuf> {
    let named = || dir.display().to_string();
    let absolute = dir.canonicalize().with_context(named)?;
    let name = absolute.file_name().with_context(|| format!("{} has no name", dir.display()))?;
    let mut name = name.to_owned();
    name.push(".wasm");
    if absolute == Path::new(".").canonicalize().with_context(named)? {
        return Ok(name.into());
    }
    // Keep the path as the user wrote it if it ends with the directory name.
    Ok(if dir.file_name() == absolute.file_name() { dir.with_file_name(name) } else { absolute.with_file_name(name) })
}

/// Replaces the file atomically, so that a running host never reads an incomplete plugin.
fn write(content: &[u8], to: &Path) -> anyhow::Result<()> {
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".building-").tempfile_in(dir)?;
    file.write_all(content)?;
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(to)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_is_found_from_its_plugin_path() {
        for language in Language::ALL {
            let dir = tempfile::tempdir().unwrap();
            let project = dir.path().join("pick");
            std::fs::create_dir(&project).unwrap();
            assert_eq!(find_for_plugin(&dir.path().join("pick.wasm")), None);
            std::fs::write(project.join(language.manifest()), "").unwrap();
            assert_eq!(Language::detect(&project), Some(language));
            assert_eq!(find_for_plugin(&dir.path().join("pick.wasm")), Some(project.clone()));
            assert_eq!(find_for_plugin(&project.join("pick.wasm")), Some(project.clone()));
            assert_eq!(find_for_plugin(&project.join("other.wasm")), None);
            assert_eq!(find_for_plugin(&project), None);
            assert_eq!(plugin_path(&project).unwrap(), dir.path().join("pick.wasm"));
            assert_eq!(plugin_path(&project.join("../pick")).unwrap(), project.join("../pick.wasm"));
        }
        let here = Path::new(".").canonicalize().unwrap();
        let name = format!("{}.wasm", here.file_name().unwrap().to_string_lossy());
        assert_eq!(plugin_path(Path::new(".")).unwrap(), PathBuf::from(name));
    }

    #[test]
    fn directory_without_a_manifest_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(dir.path(), None, Rebuild::WhenChanged).unwrap_err().to_string();
        assert!(error.starts_with(&format!("not a plugin project: {}: it has no Cargo.toml,", dir.path().display())));
    }
}
