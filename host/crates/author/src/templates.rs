//! The projects that `mapper-host new` can make: the files of `plugins/templates/`, which are part of this binary.

/// The projects of one language: their files, by their paths in the project.
struct EmbeddedProject {
    language: &'static str,
    visits: &'static [EmbeddedFile],
    bare: &'static [EmbeddedFile],
}

type EmbeddedFile = (&'static str, &'static [u8]);

/// In the order of the names of the languages.
const EMBEDDED: &[EmbeddedProject] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// What the mapper of a new project does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// It reduces visits, as an example.
    Visits,
    /// It passes records on: a beginning.
    Bare,
}

impl Template {
    const ALL: [Self; 2] = [Self::Visits, Self::Bare];

    /// What its mapper does, as the end of a sentence.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Visits => "it reduces a visit to its id, its time in epoch seconds and its page",
            Self::Bare => "it passes each record on as it is",
        }
    }

    /// Lines of the files begin with this when they are for this template alone.
    fn mark(self) -> &'static str {
        match self {
            Self::Visits => "{{visits}}",
            Self::Bare => "{{bare}}",
        }
    }

    /// A text with the lines of this template, and none of the other.
    fn lines(self, text: &str) -> String {
        let line = |line: &str| match line.strip_prefix(self.mark()) {
            Some(own) => own.to_owned(),
            None if Self::ALL.iter().any(|other| line.starts_with(other.mark())) => String::new(),
            None => line.to_owned(),
        };
        text.split_inclusive('\n').map(line).collect()
    }
}

/// The longest name of a project, in bytes: it becomes the name of a package, of a module and of files.
const MAX_NAME_BYTES: usize = 64;

/// Names that one language or the other, or a project itself, has for something else.
const TAKEN: [&str; 82] = [
    "abstract",
    "alloc",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "become",
    "box",
    "break",
    "case",
    "chan",
    "class",
    "const",
    "continue",
    "core",
    "crate",
    "def",
    "default",
    "defer",
    "del",
    "do",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extern",
    "false",
    "final",
    "finally",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "gen",
    "global",
    "go",
    "goto",
    "if",
    "impl",
    "import",
    "in",
    "init",
    "is",
    "iso_time",
    "lambda",
    "let",
    "loop",
    "macro",
    "main",
    "map",
    "mapper_sdk",
    "match",
    "mod",
    "move",
    "mut",
    "not",
    "or",
    "package",
    "pass",
    "proc_macro",
    "pub",
    "raise",
    "ref",
    "return",
    "sdk",
    "self",
    "std",
    "struct",
    "super",
    "switch",
    "test",
    "true",
    "try",
    "type",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// A language that a project can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(usize);

impl Language {
    /// All of them, in the order of their names.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..EMBEDDED.len()).map(Self)
    }

    /// The language of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|language| language.name() == name)
    }

    /// Its name, as `--lang` takes it.
    pub fn name(self) -> &'static str {
        EMBEDDED[self.0].language
    }

    /// The files of a project of that name, by their paths in it. `{{name}}` stands for the name in paths and texts,
    /// `{{module}}` for the name as an identifier, `{{version}}` for the version of this host, `{{purpose}}` for what its mapper
    /// does, and `{{input}}` for a file of records.
    pub fn project(self, name: &ProjectName, template: Template) -> Vec<(String, Vec<u8>)> {
        let (files, input) = match template {
            Template::Visits => (EMBEDDED[self.0].visits, "visits.jsonl"),
            Template::Bare => (EMBEDDED[self.0].bare, "records.jsonl"),
        };
        let fill = |text: &str| {
            text.replace("{{name}}", &name.0)
                .replace("{{module}}", &name.module())
                .replace("{{version}}", env!("CARGO_PKG_VERSION"))
                .replace("{{purpose}}", template.purpose())
                .replace("{{input}}", input)
        };
        let file = |&(path, content): &EmbeddedFile| {
            let content = std::str::from_utf8(content)
                .map_or_else(|_| content.to_vec(), |text| fill(&template.lines(text)).into_bytes());
            (fill(path), content)
        };
        files.iter().map(file).collect()
    }
}

/// A name that a package of every language may have: `my_mapper`, `my-mapper`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectName(String);

impl ProjectName {
    /// Checks a name.
    ///
    /// # Errors
    /// What a name may be.
    pub fn new(name: &str) -> Result<Self, String> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with(['-', '_']);
        if !begins_well || name.len() > MAX_NAME_BYTES || !name.chars().all(legal) {
            return Err(format!(
                "a name is 1 to {MAX_NAME_BYTES} of the characters a-z, 0-9, '_' and '-', begins with a letter and ends with a \
                 letter or digit, such as my_mapper"
            ));
        }
        let name = Self(name.to_owned());
        if TAKEN.contains(&&*name.module()) {
            return Err(format!(
                "'{}' is a word of its own to a compiler; give another name, such as my_mapper",
                name.0
            ));
        }
        Ok(name)
    }

    /// The name as an identifier: with '_' for '-'.
    fn module(&self) -> String {
        self.0.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_what_a_project_needs() {
        let name = ProjectName::new("my-mapper").unwrap();
        assert!(Language::named("rust").is_some() && Language::named("cobol").is_none());
        for (language, template) in
            Language::all().flat_map(|language| Template::ALL.map(|template| (language, template)))
        {
            let files = language.project(&name, template);
            let text = |path: &str| {
                let (_, content) = files.iter().find(|(known, _)| known == path)?;
                Some(String::from_utf8(content.clone()).unwrap())
            };
            let language = format!("{}, {template:?}", language.name());
            let wits: Vec<_> = files.iter().filter(|(path, _)| path.ends_with("wit/mapper.wit")).collect();
            assert!(
                matches!(&wits[..], [(_, wit)] if wit == include_bytes!("../../../../wit/mapper.wit")),
                "{language}: {} copies of the contract",
                wits.len()
            );
            let cases = if template == Template::Visits { 3 } else { 2 };
            assert_eq!(text("cases.jsonl").map(|cases| cases.lines().count()), Some(cases), "{language}");
            assert!(text(".gitignore").is_some_and(|ignored| ignored.contains("*.wasm")), "{language}");
            let readme = text("README.md").unwrap();
            assert!(readme.starts_with("# my-mapper\n") && readme.lines().count() <= 50, "{language}");
            for (path, content) in &files {
                let shown = String::from_utf8_lossy(content);
                assert!(!path.contains("{{") && !has_placeholder(&shown), "{language}: {path}");
                // The contract has a visit as its example.
                let is_own = template == Template::Bare && path != "wit/mapper.wit" && !is_sdk(path);
                assert!(!is_own || !shown.to_lowercase().contains("visit"), "{language}: {path}");
            }
        }
    }

    fn has_placeholder(text: &str) -> bool {
        ["name", "module", "purpose", "input", "visits", "bare"]
            .iter()
            .any(|name| text.contains(&format!("{{{{{name}}}}}")))
    }

    fn is_sdk(path: &str) -> bool {
        ["vendor/", "mapper_sdk/", "mapper-sdk/", "mapper/"].iter().any(|dir| path.starts_with(dir))
    }

    /// The manifest of the Rust SDK inherits nothing from the workspace, so that it builds in a project, too.
    #[test]
    fn rust_sdk_in_a_project_has_the_values_of_the_workspace() {
        let files = Language::named("rust").unwrap().project(&ProjectName::new("x").unwrap(), Template::Visits);
        let manifest = files.iter().find(|(path, _)| path == "vendor/mapper-sdk/Cargo.toml").unwrap();
        let manifest: toml::Table = std::str::from_utf8(&manifest.1).unwrap().parse().unwrap();
        let workspace: toml::Table = include_str!("../../../../Cargo.toml").parse().unwrap();
        for dependencies in ["dependencies", "dev-dependencies"] {
            for (name, version) in manifest[dependencies].as_table().unwrap() {
                let ours = &workspace["workspace"]["dependencies"][name];
                let ours = if ours.is_str() { toml::toml! { version = "1" }.into() } else { ours.clone() };
                assert_eq!(*version, ours, "{name}");
            }
        }
        for field in ["version", "edition", "rust-version", "license"] {
            assert_eq!(manifest["package"][field], workspace["workspace"]["package"][field], "{field}");
        }
        for (tool, lints) in workspace["workspace"]["lints"].as_table().unwrap() {
            for (lint, level) in lints.as_table().unwrap() {
                assert_eq!(manifest["lints"][tool].get(lint), Some(level), "{tool}: {lint}");
            }
        }
        assert_eq!(manifest["lints"]["rust"]["missing_docs"].as_str(), Some("warn"));
    }

    #[test]
    fn what_the_rust_template_needs_is_what_this_release_was_built_with() {
        let packages = |lock: &str| {
            let lock: toml::Table = lock.parse().unwrap();
            let package = |package: &toml::Value| {
                [&package["name"], &package["version"]].map(|field| field.as_str().unwrap().to_owned())
            };
            lock["package"].as_array().unwrap().iter().map(package).collect::<Vec<_>>()
        };
        let ours = packages(include_str!("../../../../Cargo.lock"));
        for template in Template::ALL {
            let files = Language::named("rust").unwrap().project(&ProjectName::new("x").unwrap(), template);
            let lock = files.iter().find(|(path, _)| path == "Cargo.lock").unwrap();
            for package in packages(std::str::from_utf8(&lock.1).unwrap()) {
                assert!(
                    ours.contains(&package) || package[0] == "x",
                    "{package:?}: cargo update in a new project, and copy"
                );
            }
        }
    }

    #[test]
    fn names_are_those_that_every_language_takes() {
        for name in ["a", "my_mapper", "my-mapper2"] {
            assert!(ProjectName::new(name).is_ok(), "{name}");
        }
        for name in ["", "1a", "-a", "a-", "My", "a b", "ä", "a/b", "..", "fn", "test", "proc-macro", &"a".repeat(65)]
        {
            assert!(ProjectName::new(name).is_err(), "{name}");
        }
    }
}
