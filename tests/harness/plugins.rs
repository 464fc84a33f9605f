//! The plugins that tests run, built once per test process by `mapper-host build` itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The plugin of a project folder below the repository, as `plugins/reduce_visit`, built by this host.
pub fn build(host: &str, project: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(plugin) = built.get(project) {
        return plugin.clone();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    let dir = root.join("target/test-plugins");
    std::fs::create_dir_all(&dir).expect("a folder for plugins");
    let plugin = dir.join(project.replace('/', "-")).with_extension("wasm");
    let output = Command::new(host)
        .arg("build")
        .arg(root.join(project))
        .arg("--output")
        .arg(&plugin)
        .output()
        .expect("the host can be run");
    assert!(
        output.status.success(),
        "mapper-host build {project}: {}\nThe tools of all languages are installed by plugins/toolchains.sh.",
        String::from_utf8_lossy(&output.stderr)
    );
    built.insert(project.to_owned(), plugin.clone());
    plugin
}
