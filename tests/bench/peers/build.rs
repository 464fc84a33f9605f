//! Builds the peers into cargo's target folder, with the tools of their languages.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::HOST;
use crate::peer::{Peer, Program};

/// Why a peer is left out.
pub(crate) type LeftOut = String;

/// The last lines of what a tool wrote, which say why it failed.
const SHOWN_LINES: usize = 4;
/// PyFlink 1.17 runs on these.
const PYTHONS: [&str; 3] = ["3.10", "3.9", "3.8"];

/// Builds a peer, if anything changed.
pub(crate) fn build(peer: Peer, target: &Path) -> Result<Program, LeftOut> {
    let target = target.join("peers");
    fs::create_dir_all(&target).map_err(|error| format!("{} can't be created: {error}", target.display()))?;
    match peer {
        Peer::Native | Peer::NativeFull => Ok(Program::Native),
        Peer::Rust => plugin("reduce_visit", &target),
        Peer::Python => plugin("reduce_visit_py", &target),
        Peer::Go => plugin("reduce_visit_go", &target),
        Peer::JavaScript => plugin("reduce_visit_js", &target),
        Peer::KafkaStreams => streams(&target.join("streams")),
        Peer::ConnectBloblang => {
            Ok(Program::Connect { binary: connect(&target)?, pipeline: source("connect/bloblang.yaml"), module: None })
        }
        Peer::ConnectWasm => {
            let (binary, module) = (connect(&target)?, guest(&target)?);
            Ok(Program::Connect { binary, pipeline: source("connect/wasm.yaml"), module: Some(module) })
        }
        Peer::PyFlink => flink(&target.join("flink")),
    }
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bench/peers").join(path)
}

fn plugin(project: &str, target: &Path) -> Result<Program, LeftOut> {
    let plugin = target.join(project).with_extension("wasm");
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").join(project);
    run(Command::new(HOST).arg("build").arg(project).arg("--output").arg(&plugin))?;
    // Compiles it, which a run would otherwise do at its start: the compiler takes more memory than the plugin.
    let cache = target.join("cache");
    run(Command::new(HOST).arg("map").arg(&plugin).arg("--cache-dir").arg(&cache).stdin(Stdio::null()))?;
    Ok(Program::Host { plugin, cache })
}

fn streams(target: &Path) -> Result<Program, LeftOut> {
    mvn("streams/pom.xml", ["package", &format!("-Dbuild.folder={}", target.display())])?;
    let class_path = format!("{0}/classes:{0}/dependencies/*", target.display());
    Ok(Program::Streams { class_path })
}

fn connect(target: &Path) -> Result<PathBuf, LeftOut> {
    let binary = target.join("connect");
    run(Command::new("go").args(["build", "-o"]).arg(&binary).arg(".").current_dir(source("connect")))?;
    Ok(binary)
}

fn guest(target: &Path) -> Result<PathBuf, LeftOut> {
    const TRIPLE: &str = "wasm32-wasip1";
    let (folder, target) = (source("connect/guest"), target.join("guest"));
    run(Command::new("rustup").args(["target", "add", TRIPLE]).current_dir(&folder))?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--target", TRIPLE, "--target-dir"]).arg(&target);
    run(cargo.current_dir(folder))?;
    Ok(target.join(TRIPLE).join("release/connect_guest.wasm"))
}

fn flink(target: &Path) -> Result<Program, LeftOut> {
    let (environment, jars) = (target.join("venv"), target.join("jars"));
    let python = environment.join("bin/python");
    if !python.exists() {
        run(Command::new(old_python()?).args(["-m", "venv"]).arg(&environment))?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(pip.arg(source("flink/requirements.txt")))?;
    mvn("flink/pom.xml", ["dependency:copy-dependencies", &format!("-DoutputDirectory={}", jars.display())])?;
    let is_connector = |name: &OsStr| name.to_string_lossy().starts_with("flink-sql-connector-kafka");
    let jar = fs::read_dir(&jars).into_iter().flatten().flatten().find(|entry| is_connector(&entry.file_name()));
    let jar = jar.ok_or("Maven left no jar of the Kafka connector")?.path();
    Ok(Program::Flink { python, job: source("flink/reduce_visits.py"), jar })
}

/// A Python that PyFlink 1.17 runs on: on the path, or installed by pyenv.
fn old_python() -> Result<PathBuf, LeftOut> {
    for version in PYTHONS {
        let on_path = PathBuf::from(format!("python{version}"));
        if run(Command::new(&on_path).arg("--version")).is_ok() {
            return Ok(on_path);
        }
        if let Ok(prefix) = run(Command::new("pyenv").args(["prefix", version])) {
            return Ok(Path::new(prefix.trim()).join("bin/python"));
        }
    }
    Err(format!("it needs Python {}, neither on the path nor in pyenv", PYTHONS.join(" or ")))
}

fn mvn(pom: &str, args: [&str; 2]) -> Result<(), LeftOut> {
    run(Command::new("mvn").args(["-q", "-B", "-f"]).arg(source(pom)).args(args))?;
    Ok(())
}

/// Runs a tool to its end. Returns its stdout.
fn run(command: &mut Command) -> Result<String, LeftOut> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{tool} can't be run: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stdout.lines().chain(stderr.lines()).filter(|line| !line.trim().is_empty()).collect();
    let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n  ");
    Err(format!("{tool} failed ({}):\n  {shown}", output.status))
}
