//! The generated pages of `docs/`.

use std::path::Path;

/// The first line of a generated page.
const MARK: &str = "<!-- Generated from the code; do not edit. See CONTRIBUTING.md, \"Generated pages\". -->";

/// Compares a generated page with its file in `docs/`. With `UPDATE=1` in the environment it writes the file instead.
pub fn check(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    let text = format!("{MARK}\n\n{}\n", text.trim());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("docs/ can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = found.lines().zip(text.lines()).find(|(found, expected)| found != expected);
    assert!(found == text, "docs/{file} differs from the code at {line:?}; write it again with UPDATE=1");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// All files with this extension in a folder and below it.
    fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path());
        // Build directories and dependencies have foreign pages.
        let entries = entries.filter(|path| !path.ends_with("node_modules") && !path.ends_with("target"));
        let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir() && !path.is_symlink());
        let below = dirs.iter().flat_map(|dir| self::files(dir, extension));
        files.into_iter().filter(|path| path.extension().is_some_and(|found| found == extension)).chain(below).collect()
    }

    /// The pages of the project for its users and maintainers. The links in a template lead to files of a new project.
    fn pages() -> Vec<PathBuf> {
        let top = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "wit/README.md"];
        let plugins = files(&root().join("plugins"), "md").into_iter();
        let plugins = plugins.filter(|page| !page.starts_with(root().join("plugins/templates")));
        let below = files(&root().join("docs"), "md").into_iter().chain(plugins);
        top.iter().map(|page| root().join(page)).chain(below).collect()
    }

    /// The anchors of a page as GitHub makes them of headings.
    fn anchors(page: &Path) -> Vec<String> {
        let text = fs::read_to_string(page).unwrap_or_default();
        let headings =
            text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
        let kept = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let slug = |heading: &str| heading.to_lowercase().replace(' ', "-").chars().filter(|c| kept(*c)).collect();
        headings.map(slug).collect()
    }

    #[test]
    fn links_between_pages_have_targets() {
        let mut links = 0;
        for page in pages() {
            let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert!(!text.contains("\n<<<<<<< "), "{}: a conflict of a merge", page.display());
            for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.contains("://") || link.contains(' ') {
                    continue;
                }
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
                assert!(target.exists(), "{}: {link}", page.display());
                assert!(
                    anchor.is_empty() || anchors(&target).contains(&anchor.to_owned()),
                    "{}: {link}",
                    page.display()
                );
                links += 1;
            }
        }
        assert!(links > 50, "only {links} links were found");
    }

    /// The messages in the first columns of the tables.
    fn messages(page: &str) -> Vec<&str> {
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        rows.filter_map(|row| row.split('`').nth(1)).collect()
    }

    #[test]
    fn troubleshooting_quotes_messages_of_the_program() {
        let page = fs::read_to_string(root().join("docs/troubleshooting.md")).expect("the page");
        let sources: String = files(&root().join("host"), "rs")
            .iter()
            .map(|file| fs::read_to_string(file).expect("a source file"))
            .collect();
        // A literal that continues in the next line is one text.
        let literals: String = sources.split("\\\n").map(|part| part.trim_start_matches(' ')).collect();
        let messages = messages(&page);
        assert!(messages.len() > 40, "{messages:?}");
        for message in messages.into_iter().filter(|message| *message != "Host new not found") {
            for part in message.split('…').map(str::trim).filter(|part| part.len() > 3) {
                assert!(literals.contains(part), "no message of the program has {part:?}");
            }
        }
    }
}
