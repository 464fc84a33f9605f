//! What to try after the demo, with the paths of this plugin.

use std::path::{Path, PathBuf};

use mapper_author::project::{self, Language};

/// The next steps for a user who ran the demo of this plugin with this program.
pub fn next_steps(plugin: &Path, program: &str) -> String {
    let mut text = "\nWhat to try next:\n".to_owned();
    if let Some((dir, language)) =
        project::find_for_plugin(plugin).and_then(|dir| Some((dir.clone(), Language::detect(&dir)?)))
    {
        let source = main_source(&dir).unwrap_or_else(|| dir.clone());
        let (source, dir) = (source.display(), dir.display());
        let [print, fail] = statements(language);
        text += &format!(
            "\n  Change the plugin while the demo runs: start the demo again, open\n  {source}, put\n\n      {print}\n\n  \
             at the start of its function, and in a second terminal run\n\n      {program} build {dir}\n\n  \
             The host tries the new version out on its last records and its cases, and\n  swaps it in: each visit is logged.\n\
             \n  Then make it fail: put  {fail}  there, and build it again.\n  \
             The host refuses that version, and the old one goes on.\n"
        );
    }
    text + &format!(
        "\n  Write a plugin of your own:\n\n      {program} new my_mapper --lang rust\n\n  \
         or in another language: {program} new --help\n"
    )
}

/// The name by which the user ran this program.
pub fn program_name() -> String {
    std::env::args().next().unwrap_or_else(|| "mapper-host".to_owned())
}

/// The source file of the mapper, if it has the path of the templates.
fn main_source(dir: &Path) -> Option<PathBuf> {
    let name = dir.canonicalize().ok()?.file_name()?.to_string_lossy().replace('-', "_");
    let python = format!("{name}.py");
    let usual = [
        "src/reduce.rs",
        "src/lib.rs",
        &*python,
        "main.go",
        "src/index.ts",
        "src/index.js",
        "index.ts",
        "index.js",
        "src/reduce.c",
        "src/main.c",
    ];
    usual.into_iter().map(|file| dir.join(file)).find(|file| file.is_file())
}

/// A statement that logs a line, and one that fails a call of the mapper.
fn statements(language: Language) -> [&'static str; 2] {
    match language {
        Language::Rust => [r#"println!("hello");"#, r#"panic!("oops");"#],
        Language::Python => [r#"print("hello")"#, r#"raise RuntimeError("oops")"#],
        Language::Go => [r#"println("hello")"#, r#"panic("oops")"#],
        Language::JavaScript => [r#"console.log("hello");"#, r#"throw new Error("oops");"#],
        Language::C => [r#"mapper_log(MAPPER_INFO, "hello");"#, "__builtin_trap();"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_name_the_source_and_the_command_that_builds_it() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("pick");
        let plugin = dir.path().join("pick.wasm");
        let without = next_steps(&plugin, "target/debug/mapper-host");
        assert!(without.contains("target/debug/mapper-host new my_mapper") && !without.contains("build"), "{without}");
        for (manifest, source) in [
            ("Cargo.toml", "src/lib.rs"),
            ("pyproject.toml", "pick.py"),
            ("go.mod", "main.go"),
            ("package.json", "src/index.ts"),
            ("compile_flags.txt", "src/main.c"),
        ] {
            std::fs::create_dir_all(project.join("src")).unwrap();
            std::fs::write(project.join(manifest), "").unwrap();
            std::fs::write(project.join(source), "").unwrap();
            let text = next_steps(&plugin, "mapper-host");
            assert!(text.contains(&project.join(source).display().to_string()), "{text}");
            assert!(text.contains(&format!("mapper-host build {}\n", project.display())), "{text}");
            let statements = statements(Language::detect(&project).unwrap());
            assert!(statements.iter().all(|statement| text.contains(statement)), "{text}");
            std::fs::remove_dir_all(&project).unwrap();
        }
    }
}
