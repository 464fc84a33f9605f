//! Projects of `mapper-host new`: their tests, the tools that they need, and reproducible builds.

use std::process::Command;

use crate::{HOST, built, new_project, ran_in};

/// What `mapper-host new` makes is what its README says: its cases hold in the plugin, and its unit tests natively, also when the mapper is
/// replaced by another.
#[test]
fn a_new_project_of_every_language_passes_its_cases_and_its_unit_tests() {
    let dir = tempfile::tempdir().expect("a folder for projects");
    for (language, mapper, unit_tests) in [
        ("rust", "src/lib.rs", &["cargo", "test", "--quiet"][..]),
        ("python", "my_mapper.py", &["python3", "-m", "unittest", "discover", "tests"]),
        ("go", "main.go", &["go", "test", "./..."]),
        ("javascript", "src/index.js", &["sh", "-c", "npm install --silent && npm test"]),
        ("typescript", "src/index.ts", &["sh", "-c", "npm install --silent && npm test"]),
        ("c", "src/main.c", &["make", "test"]),
    ] {
        let project = new_project(&dir.path().join(language), language, &[]);
        let (good, said) = ran_in(&project, &[HOST, "test"]);
        assert!(good && said.contains("3 passed, 0 failed"), "{language}: {said}");
        let (good, said) = ran_in(&project, unit_tests);
        assert!(good, "{language}: {said}");
        let bare = new_project(&dir.path().join(language).join("bare"), language, &["--bare"]);
        let (good, said) = ran_in(&bare, &[HOST, "test"]);
        assert!(good && said.contains("2 passed, 0 failed"), "{language}: {said}");
        for file in [mapper, "cases.jsonl"] {
            std::fs::copy(bare.join(file), project.join(file)).expect("a copy");
        }
        let (good, said) = ran_in(&project, unit_tests);
        assert!(good, "{language}, with another mapper: {said}");
        let (good, said) = ran_in(&project, &[HOST, "test"]);
        assert!(good && said.contains("2 passed, 0 failed"), "{language}, with another mapper: {said}");
    }
}

/// A machine of someone who knows one language has the tools of that one, and no other.
#[test]
fn a_language_is_built_with_its_own_tools_alone() {
    let dir = tempfile::tempdir().expect("a folder for projects");
    for (language, tools) in [
        // What cargo builds for itself is linked natively.
        ("rust", &["cargo", "rustc", "rustup", "cc", "ld"][..]),
        ("python", &["python3"]),
        ("go", &["go"]),
        ("javascript", &["node", "npm", "sh"]),
        ("typescript", &["node", "npm", "sh"]),
        ("c", &["clang-14", "wasm-ld-14"]),
    ] {
        let dir = dir.path().join(language);
        let project = new_project(&dir, language, &[]);
        for tool in tools {
            let (found, path) = ran_in(&dir, &["sh", "-c", &format!("command -v {tool}")]);
            assert!(found, "{tool}: {path}");
            std::os::unix::fs::symlink(path.trim(), dir.join(tool)).expect("a link");
        }
        let mut command = Command::new(HOST);
        let output = command.arg("build").arg(&project).env("PATH", &dir).env_remove("CARGO_TARGET_DIR").output();
        let output = output.expect("the host can be run");
        assert!(output.status.success(), "{language}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Of the languages whose compilers promise it.
#[test]
fn the_same_source_makes_the_same_plugin() {
    let dir = tempfile::tempdir().expect("a folder for plugins");
    // Wherever it lies, and whatever repository it is in.
    for language in ["rust", "go", "c"] {
        let built = ["here", "there"].map(|place| {
            let project = new_project(&dir.path().join(language).join(place), language, &[]);
            built(&project, &project.with_extension("wasm"))
        });
        assert!(built[0] == built[1], "{language}");
    }
}
