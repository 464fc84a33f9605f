//! The unit tests of the Python SDK. They are not in its folder, which each project has a copy of.

use std::path::Path;

use crate::ran_in;

#[test]
fn unit_tests_of_the_python_sdk_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    let sdk = root.join("plugins/sdk/python");
    let path = format!("PYTHONPATH={}", sdk.display());
    let test = ["env", path.as_str(), "PYTHONDONTWRITEBYTECODE=1", "python3", "test_records.py"];
    let (good, said) = ran_in(&root.join("tests/conformance/python_sdk"), &test);
    assert!(good, "{said}");
}
