//! `mapper-host test` and `mapper-host build` build only what has changed. The tools are scripts that count how often they are run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::author::{ended, in_dir};

/// A project in JavaScript, on a machine with a Node.js that builds the same plugin from every source.
struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let project = Self { dir: tempfile::tempdir().expect("a folder") };
        for folder in ["bin", "m/src"] {
            std::fs::create_dir_all(project.path(folder)).expect("a folder");
        }
        project.script("npm", "exit 0");
        project.script(
            "node",
            "if [ \"$1\" = --version ]; then cat \"$MACHINE/version\"; exit; fi\n\
             echo built >> \"$MACHINE/builds\"\n\
             cp \"$MACHINE/plugin.wasm\" \"$6\"\n\
             echo \"[\\\"$PWD/src/index.js\\\"]\" > \"$7\"",
        );
        project.write("version", "v20.0.0");
        project.write("m/package.json", r#"{"name": "m", "version": "1.0.0"}"#);
        project.write("m/src/index.js", "1");
        project.write("m/cases.jsonl", r#"{"input": {"value": null}, "error_matches": "tombstone"}"#);
        std::fs::copy(crate::reduce_visit(), project.path("plugin.wasm")).expect("a copy");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a script");
    }

    /// Runs the host in the project; returns its exit code, its output and how often the tools built a plugin.
    fn run(&self, args: &[&str]) -> (Option<i32>, String, usize) {
        let _ = std::fs::remove_file(self.path("builds"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = in_dir(&self.path("m"), args);
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env("MACHINE", self.dir.path()).env("XDG_CACHE_HOME", self.path("cache"));
        let (code, out, err) = ended(command.output().expect("the host can be run"));
        let builds = std::fs::read_to_string(self.path("builds")).unwrap_or_default().lines().count();
        (code, out + &err, builds)
    }

    /// Writes other content and keeps the modification time of the file.
    fn rewrite(&self, name: &str, text: &str) {
        let time = std::fs::metadata(self.path(name)).and_then(|file| file.modified()).expect("a file");
        self.write(name, text);
        let file = std::fs::File::options().write(true).open(self.path(name)).expect("a file");
        file.set_modified(time).expect("its time can be set");
    }
}

fn remove(path: &Path) {
    std::fs::remove_file(path).expect("a file");
}

#[test]
fn project_is_rebuilt_only_after_a_change() {
    let project = Project::new();
    let builds = |what: &str, expected: usize| {
        let (code, output, builds) = project.run(&["test"]);
        assert_eq!((code, builds), (Some(0), expected), "{what}: {output}");
        assert!(output.contains("1 passed, 0 failed\n"), "{what}: {output}");
    };
    builds("the first time", 1);
    builds("nothing has changed", 0);
    project.write("m/cases.jsonl", "{\"input\": {\"value\": \"{\"}, \"error_matches\": \"not a visit\"}");
    builds("only cases have changed", 0);
    project.write("m/src/index.js", "1");
    builds("the same was written again", 0);
    project.rewrite("m/src/index.js", "2");
    builds("another content with the same time and size", 1);
    project.write("m/src/added.js", "");
    builds("a file was added", 1);
    remove(&project.path("m/src/added.js"));
    builds("a file was deleted", 1);
    builds("nothing has changed again", 0);
    project.write("version", "v22.0.0");
    builds("another version of a tool", 1);
    remove(&project.path("m/m.wasm"));
    builds("the plugin was deleted", 1);
    let commands = harness::plugins::build(crate::HOST, "tests/guests/commands_batch");
    std::fs::copy(commands, project.path("m/m.wasm")).expect("a copy");
    builds("the plugin was replaced by another", 1);
    builds("nothing has changed at last", 0);

    let (code, output, builds) = project.run(&["build", "."]);
    assert_eq!((code, output.as_str(), builds), (Some(0), "m.wasm\n", 0));
    let (code, output, builds) = project.run(&["build", ".", "--force"]);
    assert_eq!((code, output.as_str(), builds), (Some(0), "m.wasm\n", 1));
    let (code, output, builds) = project.run(&["build", ".", "--output", "other.wasm"]);
    assert_eq!((code, output.as_str(), builds), (Some(0), "other.wasm\n", 1));
}

#[test]
fn source_outside_of_the_project_disables_the_build_stamp() {
    let project = Project::new();
    project.write("shared.js", "1");
    project.script(
        "node",
        "if [ \"$1\" = --version ]; then cat \"$MACHINE/version\"; exit; fi\n\
         echo built >> \"$MACHINE/builds\"\n\
         cp \"$MACHINE/plugin.wasm\" \"$6\"\n\
         echo \"[\\\"$PWD/src/index.js\\\", \\\"$MACHINE/shared.js\\\"]\" > \"$7\"",
    );
    for _ in 0..2 {
        let (code, output, builds) = project.run(&["test"]);
        assert_eq!((code, builds), (Some(0), 1), "{output}");
    }
}

#[test]
fn failed_build_is_retried() {
    let project = Project::new();
    assert_eq!(project.run(&["test"]).2, 1);
    project.write("m/src/index.js", "mistake");
    let node = std::fs::read_to_string(project.path("bin/node")).expect("a script");
    project.script("node", "if [ \"$1\" = --version ]; then cat \"$MACHINE/version\"; exit; fi\nexit 1");
    for _ in 0..2 {
        let (code, output, _) = project.run(&["test"]);
        assert!(code == Some(3) && output.contains("'node' failed"), "{output}");
    }
    project.script("node", node.trim_start_matches("#!/bin/sh\n"));
    assert_eq!(project.run(&["test"]).2, 1);
}
