//! Builds each SDK as a package with the tools of its language. Then a new project uses the package in the place of the copy that
//! `mapper-host new` wrote.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{HOST, new_project, ran_in};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn sdk(language: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    root.join("plugins/sdk").join(language)
}

/// What a command in this folder writes. It must succeed.
fn run(dir: &Path, command: &[&str]) -> String {
    let (good, said) = ran_in(dir, command);
    assert!(good, "{command:?} in {}: {said}", dir.display());
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The cases of the project hold in a plugin that is built with these variables.
fn project_passes_its_cases(project: &Path, variables: &[&str]) {
    let command = [&["env"], variables, &[HOST, "test"]].concat();
    let said = run(project, &command);
    assert!(said.contains("3 passed, 0 failed"), "{said}");
}

fn replace(file: &Path, from: &str, to: &str) {
    let content = fs::read_to_string(file).expect("a file of the project");
    assert!(content.contains(from), "{}: there is no '{from}'", file.display());
    fs::write(file, content.replace(from, to)).expect("it can be written");
}

/// Fails if the list of an archive lacks one of these files.
fn lists(archive: &str, files: &[&str]) {
    for file in files {
        assert!(archive.lines().any(|line| line.contains(file)), "{file} is missing in: {archive}");
    }
}

/// `cargo package` compiles the crate from its archive alone.
#[test]
fn rust_crate_is_packaged_and_builds_a_plugin() {
    let dir = tempfile::tempdir().expect("a folder");
    let target = sdk("rust").join("../../../target/packages");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    run(&sdk("rust"), &[&cargo, "package", "--allow-dirty", "--locked", "--target-dir", text(&target)]);
    let archive = target.join(format!("package/mapper-sdk-{VERSION}.crate"));
    lists(
        &run(dir.path(), &["tar", "-tzf", text(&archive)]),
        &["/README.md", "/LICENSE", "/wit/mapper.wit", "/src/lib.rs"],
    );

    let project = new_project(dir.path(), "rust", &[]);
    let vendored = project.join("vendor/mapper-sdk");
    fs::remove_dir_all(&vendored).expect("the copy of the SDK");
    run(&project, &["tar", "-xzf", text(&archive), "-C", "vendor"]);
    fs::rename(project.join(format!("vendor/mapper-sdk-{VERSION}")), vendored).expect("it can be renamed");
    project_passes_its_cases(&project, &[]);
}

#[test]
fn python_wheel_is_built_and_builds_a_plugin() {
    let dir = tempfile::tempdir().expect("a folder");
    // setuptools writes into the folder of the sources.
    run(dir.path(), &["cp", "-r", text(&sdk("python")), "sources"]);
    run(dir.path(), &["python3", "-m", "venv", "venv"]);
    run(dir.path(), &["venv/bin/python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", ".", "./sources"]);
    let wheel = dir.path().join(format!("mapper_sdk-{VERSION}-py3-none-any.whl"));
    let files = ["mapper_sdk/__init__.py", "mapper_sdk/py.typed", "mapper_sdk/wit/mapper.wit", "licenses/LICENSE"];
    lists(&run(dir.path(), &["python3", "-m", "zipfile", "-l", text(&wheel)]), &files);

    let project = new_project(dir.path(), "python", &[]);
    fs::remove_dir_all(project.join("mapper_sdk")).expect("the copy of the SDK");
    let dependency = format!("dependencies = [\"mapper-sdk @ file://{}\"]", wheel.display());
    replace(&project.join("pyproject.toml"), "dependencies = []", &dependency);
    let path = format!("PYTHONPATH={}", wheel.display());
    run(&project, &["env", &path, "python3", "-m", "unittest", "discover", "tests"]);
    project_passes_its_cases(&project, &[]);
}

/// The types of the package are those that `tsc` checks the project with.
#[test]
fn npm_package_is_packed_and_builds_a_plugin() {
    let dir = tempfile::tempdir().expect("a folder");
    run(&sdk("js"), &["npm", "pack", "--silent", "--pack-destination", text(dir.path())]);
    let archive = dir.path().join(format!("mapper-sdk-{VERSION}.tgz"));
    let files = ["/README.md", "/LICENSE", "/index.js", "/index.d.ts", "/wit/mapper.wit"];
    lists(&run(dir.path(), &["tar", "-tzf", text(&archive)]), &files);

    let project = new_project(dir.path(), "typescript", &[]);
    fs::remove_dir_all(project.join("mapper-sdk")).expect("the copy of the SDK");
    replace(&project.join("package.json"), "file:mapper-sdk", &format!("file:{}", archive.display()));
    run(&project, &["sh", "-c", "npm install --silent && npm test"]);
    project_passes_its_cases(&project, &[]);
    replace(&project.join("src/index.ts"), "record.json()", "record.jason()");
    let (good, said) = ran_in(&project, &["npx", "tsc"]);
    assert!(!good && said.contains("Property 'jason' does not exist on type 'Record'"), "{said}");
}

/// Puts a module into the folder of a module proxy, which has the form of <https://go.dev/ref/mod#goproxy-protocol>.
const PUBLISH_GO_MODULE: &str = r#"
import pathlib, sys, zipfile
sources, proxy, path, version = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
folder = pathlib.Path(proxy, path, "@v")
folder.mkdir(parents=True)
(folder / "list").write_text(version + "\n")
(folder / f"{version}.info").write_text('{"Version": "%s"}' % version)
(folder / f"{version}.mod").write_bytes((sources / "go.mod").read_bytes())
with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
    for file in sorted(file for file in sources.rglob("*") if file.is_file()):
        archive.write(file, f"{path}@{version}/{file.relative_to(sources)}")
"#;

#[test]
fn go_module_is_vetted_and_imported_from_a_module_proxy() {
    let dir = tempfile::tempdir().expect("a folder");
    let module = "mapper-host.internal/mapper";
    run(&sdk("go"), &["go", "vet", "./..."]);
    run(&sdk("go"), &["env", "GOOS=wasip1", "GOARCH=wasm", "go", "vet", "./..."]);
    assert_eq!(run(&sdk("go"), &["gofmt", "-l", "."]), "", "these files are not formatted");
    let (proxy, version) = (dir.path().join("proxy"), format!("v{VERSION}"));
    run(dir.path(), &["python3", "-c", PUBLISH_GO_MODULE, text(&sdk("go")), text(&proxy), module, &version]);

    let project = new_project(dir.path(), "go", &[]);
    fs::remove_dir_all(project.join("mapper")).expect("the copy of the SDK");
    replace(&project.join("go.mod"), &format!("replace {module} => ./mapper\n"), "");
    let variables = [
        &format!("GOPROXY=file://{}", proxy.display()),
        "GONOSUMDB=mapper-host.internal",
        &format!("GOMODCACHE={}", dir.path().join("modules").display()),
        "GOFLAGS=-mod=mod -modcacherw",
    ];
    run(&project, &[&["env"], &variables[..], &["go", "test", "./..."]].concat());
    let vet = ["env", "GOOS=wasip1", "GOARCH=wasm"];
    run(&project, &[&vet, &variables[..], &["go", "vet", "./..."]].concat());
    project_passes_its_cases(&project, &variables);
}

#[test]
fn c_package_is_installed_and_found_by_cmake_and_pkg_config() {
    let dir = tempfile::tempdir().expect("a folder");
    let (sources, prefix) = (sdk("c"), dir.path().join("prefix"));
    run(dir.path(), &["cmake", "-S", text(&sources), "-B", "build", "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON"]);
    run(dir.path(), &["cmake", "--build", "build"]);
    run(dir.path(), &["ctest", "--test-dir", "build", "--output-on-failure"]);
    run(dir.path(), &["cmake", "--install", "build", "--prefix", text(&prefix)]);

    let project = new_project(dir.path(), "c", &[]);
    fs::remove_dir_all(project.join("mapper")).expect("the copy of the SDK");
    let lists = "cmake_minimum_required(VERSION 3.19)\nproject(user LANGUAGES C)\nfind_package(mapper-sdk 0.1 REQUIRED)\n\
                 add_executable(user src/main.c src/iso_time.c tests/iso_time_test.c)\n\
                 target_include_directories(user PRIVATE src)\ntarget_link_libraries(user PRIVATE mapper-sdk::mapper-sdk)\n";
    fs::write(project.join("CMakeLists.txt"), lists).expect("it can be written");
    let found = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
    run(&project, &["cmake", "-S", ".", "-B", "build/cmake", &found]);
    run(&project, &["cmake", "--build", "build/cmake"]);
    assert!(run(&project, &["build/cmake/user"]).contains("all tests passed"));

    let path = format!("PKG_CONFIG_PATH={}", prefix.join("share/pkgconfig").display());
    let pkg_config = |question| run(&project, &["env", &path, "pkg-config", question, "mapper-sdk"]).trim().to_owned();
    assert_eq!(pkg_config("--modversion"), VERSION);
    let (flags, sdk) = (pkg_config("--cflags"), pkg_config("--variable=sourcedir"));
    let compile = format!("cc {flags} -Isrc src/*.c tests/*.c {sdk}/*.c {sdk}/vendor/*.c -o build/user && build/user");
    assert!(run(&project, &["sh", "-c", &compile]).contains("all tests passed"));
    std::os::unix::fs::symlink(sdk, project.join("mapper")).expect("a link");
    project_passes_its_cases(&project, &[]);
}
