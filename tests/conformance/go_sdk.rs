//! The unit tests of the Go SDK. They are not in its folder, which each project has a copy of.

use std::fs;
use std::path::Path;

use crate::{new_project, ran_in};

#[test]
fn unit_tests_of_the_go_sdk_hold() {
    let dir = tempfile::tempdir().expect("a folder");
    let sdk = new_project(dir.path(), "go", &[]).join("mapper");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/go_sdk/fields_test.go");
    fs::copy(tests, sdk.join("fields_test.go")).expect("the tests lie in the repository");
    let (good, said) = ran_in(&sdk, &["go", "test", "./..."]);
    assert!(good, "{said}");
}
