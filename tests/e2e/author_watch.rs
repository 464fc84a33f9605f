//! `mapper-host build --watch`: each save builds the plugin and runs its cases.

use std::path::Path;

use harness::host::Host;

use crate::author::{in_dir, run};

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("a source");
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).expect("a source");
}

#[test]
fn each_change_builds_the_project_and_runs_its_cases() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, _, err) = run(dir.path(), &["new", "watched", "--lang", "rust"]);
    assert_eq!(code, Some(0), "{err}");
    let project = dir.path().join("watched");
    let mut watching = Host::spawn(&mut in_dir(&project, &["build", ".", "--watch"]));
    watching.wait_for("waiting for changes");
    let first = watching.output();
    assert!(first.contains("built watched.wasm in ") && first.contains("3 passed, 0 failed"), "{first}");

    edit(&project.join("src/lib.rs"), "the visit has no event_time", "no event_time");
    watching.wait_for("2 passed, 1 failed");
    watching.wait_for("+   \"error\": \"no event_time\"");
    edit(&project.join("cases.jsonl"), "the visit has no event_time", "no event_time");
    watching.wait_for_times("3 passed, 0 failed", 2);

    // A compiler error is shown, and the next save is built again.
    edit(&project.join("src/lib.rs"), "mapper!(reduce_visit);", "mapper!(reduce_visits);");
    watching.wait_for("cannot find function `reduce_visits`");
    watching.wait_for_times("waiting for changes", 4);
    edit(&project.join("src/lib.rs"), "mapper!(reduce_visits);", "mapper!(reduce_visit);");
    watching.wait_for_times("3 passed, 0 failed", 3);
    watching.wait_for_times("waiting for changes", 5);
    assert_eq!(watching.output().matches("built watched.wasm").count(), 4, "{}", watching.output());
    watching.kill();
}
