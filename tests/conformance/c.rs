//! What C has and the other languages have not: unit tests that make runs, and a compiler that is told by a file.

use std::path::Path;
use std::process::Command;

use crate::guests::batch;
use crate::{C, HOST, built, load, new_project, ran_in};

/// The SDK, the reference job and a new project are tested natively, with sanitizers.
#[test]
fn unit_tests_of_c_hold() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    for project in [root.join("plugins/sdk/c"), root.join("plugins/reduce_visit_c"), new_project(dir.path(), "c", &[])]
    {
        let (good, said) = ran_in(&project, &["make", "test"]);
        assert!(good && said.contains("all tests passed"), "{}: {said}", project.display());
        assert!(!said.contains("warning"), "{}: {said}", project.display());
    }
}

/// What has been compiled is kept, and still what comes is that of the files as they are.
#[test]
fn a_change_of_a_source_a_header_or_the_flags_of_c_is_compiled() {
    let dir = tempfile::tempdir().expect("a folder");
    let project = new_project(dir.path(), "c", &[]);
    let plugin = dir.path().join("my_mapper.wasm");
    let before = built(&project, &plugin);
    assert!(built(&project, &plugin) == before, "nothing has changed");
    for (file, from, to) in [
        ("src/main.c", ".version = \"0.1.0\"", ".version = \"0.1.1\""),
        ("mapper/mapper.h", "MAPPER_NO_TIMESTAMP ((int64_t)-1)", "MAPPER_NO_TIMESTAMP ((int64_t)-2)"),
        ("compile_flags.txt", "-std=c11", "-std=c11\n-O1"),
    ] {
        let path = project.join(file);
        let text = std::fs::read_to_string(&path).expect("a file of the project");
        assert!(text.contains(from), "{file}");
        std::fs::write(&path, text.replace(from, to)).expect("it can be written");
        assert!(built(&project, &plugin) != before, "{file}");
        std::fs::write(&path, text).expect("it can be written");
        assert!(built(&project, &plugin) == before, "{file}, as it was");
    }
}

#[test]
fn what_clang_says_of_a_mistake_is_shown_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let project = new_project(dir.path(), "c", &[]);
    std::fs::write(project.join("src/more.c"), "int mistake(void) { return mistaken; }\n").expect("it can be written");
    let output = Command::new(HOST).arg("build").arg(&project).output().expect("the host can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("src/more.c:1:28: error: use of undeclared identifier 'mistaken'"), "{said}");
    assert!(said.contains("'clang-14' failed (exit status: 1)"), "{said}");
}

/// Large arguments and outputs too, which have no room in what is always there.
#[test]
fn what_a_call_in_c_took_of_memory_the_next_one_uses_again() {
    let mut guest = load(C.commands, &[]).expect("it loads");
    let large = format!("value {}", "x".repeat(300_000));
    let mut memory = || {
        guest.verdicts(&batch(&vec![large.as_bytes(); 100]));
        guest.verdicts(&batch(&[b"memory"])).remove(0)
    };
    let before = memory();
    assert!(before.contains(" pages "), "{before}");
    assert_eq!(memory(), before);
}
