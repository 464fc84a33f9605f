//! The project templates of `mapper-host new`. The files of `plugins/templates/` are embedded in the binary.

struct EmbeddedProject {
    language: &'static str,
    visits: &'static [EmbeddedFile],
    bare: &'static [EmbeddedFile],
}

/// Path in the project, and content.
type EmbeddedFile = (&'static str, &'static [u8]);

/// Sorted by language.
const EMBEDDED: &[EmbeddedProject] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// An example that reduces visits.
    Visits,
    /// A minimal mapper that passes records on.
    Bare,
}

impl Template {
    const ALL: [Self; 2] = [Self::Visits, Self::Bare];

    /// A description of the mapper, as a clause.
    pub fn purpose(self) -> &'static str {
        match self {
            Self::Visits => "it reduces a visit to its id, its time in epoch seconds and its page",
            Self::Bare => "it passes each record on as it is",
        }
    }

    /// Prefix of lines that belong to this template only.
    fn line_marker(self) -> &'static str {
        match self {
            Self::Visits => "{{visits}}",
            Self::Bare => "{{bare}}",
        }
    }

    /// Removes the lines of the other template.
    fn select_lines(self, text: &str) -> String {
        let line = |line: &str| match line.strip_prefix(self.line_marker()) {
            Some(own) => own.to_owned(),
            None if Self::ALL.iter().any(|other| line.starts_with(other.line_marker())) => String::new(),
            None => line.to_owned(),
        };
        text.split_inclusive('\n').map(line).collect()
    }
}

/// The project name becomes the name of a package, a module and files.
const MAX_NAME_BYTES: usize = 64;

/// Keywords of the languages, and names that the templates use.
const RESERVED_NAMES: [&str; 82] = [
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

/// A template language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(usize);

impl Language {
    /// Sorted by name.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..EMBEDDED.len()).map(Self)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|language| language.name() == name)
    }

    /// The value of `--lang`.
    pub fn name(self) -> &'static str {
        EMBEDDED[self.0].language
    }

    /// The files of a new project: path and content. Placeholders in paths and texts: `{{name}}`, `{{module}}` (the name as an
    /// identifier), `{{version}}` (of this host), `{{purpose}}` and `{{input}}` (a file of records).
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
                .map_or_else(|_| content.to_vec(), |text| fill(&template.select_lines(text)).into_bytes());
            (fill(path), content)
        };
        files.iter().map(file).collect()
    }
}

/// A valid package name in every language, such as `my_mapper` or `my-mapper`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectName(String);

impl ProjectName {
    /// # Errors
    /// The name is not valid in every language.
    pub fn new(name: &str) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let has_valid_ends = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with(['-', '_']);
        if !has_valid_ends || name.len() > MAX_NAME_BYTES || !name.chars().all(is_allowed) {
            return Err(format!(
                "a name has 1 to {MAX_NAME_BYTES} of the characters a-z, 0-9, '_' and '-', starts with a letter and ends with a \
                 letter or digit, such as my_mapper"
            ));
        }
        let name = Self(name.to_owned());
        if RESERVED_NAMES.contains(&&*name.module()) {
            return Err(format!("'{}' is a reserved word. Choose another name, such as my_mapper", name.0));
        }
        Ok(name)
    }

    /// The name as an identifier: '_' replaces '-'.
    fn module(&self) -> String {
        self.0.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_of_every_language_is_complete() {
        let name = ProjectName::new("my-mapper").unwrap();
        assert!(Language::from_name("rust").is_some() && Language::from_name("cobol").is_none());
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
                // The contract has a visit as an example.
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
        let files = Language::from_name("rust").unwrap().project(&ProjectName::new("x").unwrap(), Template::Visits);
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
    fn rust_template_lock_matches_this_release() {
        let packages = |lock: &str| {
            let lock: toml::Table = lock.parse().unwrap();
            let package = |package: &toml::Value| {
                [&package["name"], &package["version"]].map(|field| field.as_str().unwrap().to_owned())
            };
            lock["package"].as_array().unwrap().iter().map(package).collect::<Vec<_>>()
        };
        let ours = packages(include_str!("../../../../Cargo.lock"));
        for template in Template::ALL {
            let files = Language::from_name("rust").unwrap().project(&ProjectName::new("x").unwrap(), template);
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
    fn name_must_be_valid_in_every_language() {
        for name in ["a", "my_mapper", "my-mapper2"] {
            assert!(ProjectName::new(name).is_ok(), "{name}");
        }
        for name in ["", "1a", "-a", "a-", "My", "a b", "ä", "a/b", "..", "fn", "test", "proc-macro", &"a".repeat(65)]
        {
            assert!(ProjectName::new(name).is_err(), "{name}");
        }
    }
}
