//! `mapper-host new`: creates a project from a template. It never overwrites a file.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::templates::ProjectName;
use crate::config::NewConfig;
use mapper_core::shutdown::{Cause, Halt};
use mapper_terminal::output;

/// Creates the project, and prints the next steps.
///
/// # Errors
/// The name is invalid, the directory is not empty, or a file can't be written.
pub fn new(config: &NewConfig) -> Result<(), Halt> {
    let dir = &config.dir;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let name = ProjectName::new(&name).map_err(|allowed| {
        Halt::configuration(format!("{}: invalid project name: {name:?}: {allowed}", dir.display()))
    })?;
    check_empty(dir)?;
    write(dir, &config.language.project(&name, config.template)).map_err(Halt::internal)?;
    let dir = dir.display();
    let (language, purpose) = (config.language.name(), config.template.purpose());
    output::print_line(format!("{dir} is a mapper in {language}: {purpose}. Next steps:"));
    output::print_text("\n");
    output::print_line(format!("    cd {dir}"));
    output::print_text("    mapper-host test\n    mapper-host build .\n\nSee its README.md.\n");
    Ok(())
}

/// An empty or missing directory passes.
fn check_empty(dir: &Path) -> Result<(), Halt> {
    let occupied = |reason: &str| {
        Halt::configuration(format!("{}: {reason}. No file was overwritten. Choose another name", dir.display()))
    };
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(occupied("the directory exists and is not empty")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(occupied("a file with this name exists")),
        Err(error) => {
            Err(Halt::new(Cause::Configuration, anyhow::Error::new(error).context(format!("{}", dir.display()))))
        }
    }
}

fn write(dir: &Path, files: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    use anyhow::Context;
    for (path, content) in files {
        let path = dir.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            // Another process may have created the file since the check.
            File::create_new(&path)?.write_all(content)
        });
        written.with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::templates::{Language, Template};

    #[test]
    fn existing_files_are_never_overwritten() {
        let base = tempfile::tempdir().unwrap();
        let language = Language::from_name("rust").unwrap();
        let config = |name: &str| NewConfig { dir: base.path().join(name), language, template: Template::Visits };
        new(&config("deep/my_mapper")).unwrap();
        let again = new(&config("deep/my_mapper")).unwrap_err().to_string();
        assert!(again.contains("the directory exists and is not empty"), "{again}");
        fs::write(base.path().join("file"), "mine").unwrap();
        let file = new(&config("file")).unwrap_err().to_string();
        assert!(file.contains("a file with this name exists"), "{file}");
        assert_eq!(fs::read_to_string(base.path().join("file")).unwrap(), "mine");
        fs::create_dir(base.path().join("empty")).unwrap();
        new(&config("empty")).unwrap();
        let manifest = fs::read_to_string(base.path().join("empty/Cargo.toml")).unwrap();
        assert!(manifest.starts_with("[package]\nname = \"empty\"\n"), "{manifest}");
        let named = new(&config("No Name")).unwrap_err().to_string();
        assert!(named.contains("invalid project name: \"No Name\""), "{named}");
    }
}
