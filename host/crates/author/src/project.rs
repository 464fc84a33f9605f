//! From a plugin project to a plugin: `mapper-host build DIR` makes `NAME.wasm` beside the project, with the tools of the
//! project's own language.

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

/// A manifest, or a file of flags.
const MANIFEST_LIMIT: Limit = Limit::new("a manifest", 4 << 20);

/// A language that plugins are written in.
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
    /// Every language, in the order in which a project's manifests are looked for.
    pub const ALL: [Self; 5] = [Self::Rust, Self::Python, Self::Go, Self::JavaScript, Self::C];

    /// The file that every project of the language has.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Python => "pyproject.toml",
            Self::Go => "go.mod",
            Self::JavaScript => "package.json",
            Self::C => "compile_flags.txt",
        }
    }

    /// The language of the project in a folder, if there is one.
    pub fn detect(dir: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|language| dir.join(language.manifest()).is_file())
    }
}

/// A plugin that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its file.
    pub plugin: PathBuf,
    /// Whether it was built just now, and not before from the same sources by the same tools.
    pub is_new: bool,
}

/// Whether a project is built that has not changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// Only when its sources, its SDK, the tools or their settings have changed, or the plugin is not the one that was built.
    WhenChanged,
    /// In any case.
    Always,
}

/// Builds the project in `dir`, and puts the plugin at `output`, or where [`plugin_of`] says.
///
/// # Errors
/// When `dir` holds no project, a tool is missing, or the build fails; what the tools say of it stands on stderr then.
pub fn build(dir: &Path, output: Option<&Path>, rebuild: Rebuild) -> anyhow::Result<Built> {
    let Some(language) = Language::detect(dir) else {
        let manifests = Language::ALL.map(Language::manifest).join(", ");
        bail!("{} is no plugin project: it has no {manifests}", dir.display());
    };
    let plugin = match output {
        Some(output) => output.to_owned(),
        None => plugin_of(dir)?,
    };
    let dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
    let before = language.inputs(&dir)?;
    let stamp = Stamp::find(&dir, &plugin).zip(before);
    if let Some((stamp, before)) = stamp.as_ref().filter(|_| rebuild == Rebuild::WhenChanged)
        && stamp.is_current(&before.finish(), &plugin)
    {
        return Ok(Built { plugin, is_new: false });
    }
    let work = tempfile::Builder::new().prefix("mapper-build-").tempdir().context("a folder to build in")?;
    let built = match language {
        Language::Rust => rust::build(&dir),
        Language::Python => python::build(&dir, work.path()),
        Language::Go => go::build(&dir, work.path()),
        Language::JavaScript => javascript::build(&dir, work.path()),
        Language::C => c::build(&dir, work.path()),
    }?;
    let content =
        files::read(&built, PLUGIN_LIMIT).with_context(|| format!("reading what was built, {}", built.display()))?;
    write(&content, &plugin).with_context(|| format!("writing the plugin to {}", plugin.display()))?;
    if let Some((stamp, before)) = stamp {
        let is_whole = language != Language::JavaScript || javascript::uses_only(work.path(), &before);
        // What was changed during the build is not surely in it.
        let after = language.inputs(&dir)?.filter(|after| is_whole && after.finish() == before.finish());
        if let Some(inputs) = after {
            stamp.write(inputs.finish(), &content);
        }
    }
    Ok(Built { plugin, is_new: true })
}

impl Language {
    /// What the project in `dir` is built from. `None`: its tools know themselves what has changed, or it can't be known.
    ///
    /// # Errors
    /// When a tool that is needed before fails.
    fn inputs(self, dir: &Path) -> anyhow::Result<Option<Inputs>> {
        let add: fn(&Path, &mut Inputs) -> anyhow::Result<()> = match self {
            // Cargo builds what has changed, and so do the kept objects of C.
            Self::Rust | Self::C => return Ok(None),
            Self::Python => python::inputs,
            Self::Go => go::inputs,
            Self::JavaScript => {
                // Before, because what npm installs is an input.
                javascript::install(dir)?;
                javascript::inputs
            }
        };
        let inputs = Inputs::new().and_then(|mut inputs| {
            add(dir, &mut inputs)?;
            Ok(inputs)
        });
        // The build itself says what is wrong with the project.
        Ok(inputs.inspect_err(|error| tracing::debug!(%error, "the inputs of the build are not known")).ok())
    }
}

/// The project that makes this plugin, if it lies beside where the plugin should be, or around it: `plugins/x` for
/// `plugins/x.wasm` and for `plugins/x/x.wasm`.
pub fn find_for_plugin(plugin: &Path) -> Option<PathBuf> {
    let beside = plugin.with_extension("");
    let around = plugin.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
    let around = around.filter(|dir| dir.canonicalize().is_ok_and(|dir| dir.file_name() == plugin.file_stem()));
    let is_project = |dir: &PathBuf| Language::detect(dir).is_some();
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
    fn a_project_is_found_beside_its_plugin() {
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
            assert_eq!(plugin_of(&project).unwrap(), dir.path().join("pick.wasm"));
            assert_eq!(plugin_of(&project.join("../pick")).unwrap(), project.join("../pick.wasm"));
        }
        let here = Path::new(".").canonicalize().unwrap();
        let name = format!("{}.wasm", here.file_name().unwrap().to_string_lossy());
        assert_eq!(plugin_of(Path::new(".")).unwrap(), PathBuf::from(name));
    }

    #[test]
    fn what_is_no_project_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(dir.path(), None, Rebuild::WhenChanged).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} is no plugin project: it has no Cargo.toml,", dir.path().display())));
    }
}
