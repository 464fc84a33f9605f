//! `mapper-host check`: describes a file, its imports, and whether this host can load it as a plugin.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Outcome;
use super::guest::{build_if_absent, engine, read};
use crate::config::{CheckConfig, GuestConfig};
use mapper_core::bytes::Bytes;
use mapper_core::shutdown::Halt;
use mapper_runtime::{Access, CONTRACT_VERSION, Description, Effort, Form, Stage, describe};
use mapper_terminal::output::{self, Colour, Line};

/// Prints the supported contract versions.
pub fn print_contract(as_json: bool) {
    if as_json {
        output::print_line(json!({ "package": "mapper-host:mapper", "versions": [CONTRACT_VERSION] }).to_string());
    } else {
        output::print_line(format!("mapper-host:mapper@{CONTRACT_VERSION}"));
    }
}

/// # Errors
/// The file can't be read.
pub fn check(config: &CheckConfig) -> Result<Outcome, Halt> {
    let path = config.plugin.as_path();
    build_if_absent(path)?;
    let bytes = read(path)?;
    // Without a cache, so that the compile time is real.
    let engine = Arc::new(engine(&config.guest, None)?);
    let description = describe(&engine, &bytes, &config.guest.set, Effort::Full);
    if config.json {
        output::print_json(&to_json(path, &description));
    } else {
        to_text(path, &description, &config.guest).into_iter().for_each(output::print_line);
    }
    Ok(if description.plugin.is_ok() { Outcome::Success } else { Outcome::PluginRejected })
}

fn form_name(form: Form) -> &'static str {
    match form {
        Form::Component => "component",
        Form::Module => "core module",
        Form::Other => "not WebAssembly",
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Read => "read",
        Stage::Compile => "compile",
        Stage::Configure => "configure",
    }
}

fn to_json(path: &Path, description: &Description) -> Value {
    let millis = |duration: Option<std::time::Duration>| duration.map(|duration| duration.as_secs_f64() * 1e3);
    let imports = description
        .imports
        .iter()
        .map(|import| json!({ "name": import.name, "access": import.access.name(), "description": import.about }));
    json!({
        "file": path.display().to_string(),
        "valid": description.plugin.is_ok(),
        "failed_step": description.plugin.as_ref().err().map(|error| stage_name(error.stage)),
        "reason": description.plugin.as_ref().err().map(|error| &error.reason),
        "form": form_name(description.form),
        "bytes": description.bytes,
        "sha256": description.digest.to_string(),
        "name": description.identity.as_ref().map(|identity| &identity.name),
        "version": description.identity.as_ref().map(|identity| &identity.version),
        "contract": description.contract,
        "world": description.world.map(|world| world.name()),
        "imports": imports.collect::<Vec<_>>(),
        "exports": description.exports,
        "compile_ms": millis(description.compiled_in),
        "instance_ms": millis(description.started_in),
        "start_memory_bytes": description.start_memory_bytes,
        "host": { "version": env!("CARGO_PKG_VERSION"), "contracts": [CONTRACT_VERSION] },
    })
}

fn to_text(path: &Path, description: &Description, guest: &GuestConfig) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push(Line::from(format!("{name:<12}{text}")));
    let identity = description.identity.as_ref().map(|identity| format!("{} {}, ", identity.name, identity.version));
    line(&format!("{}:", path.display()), String::new());
    line(
        "  is",
        format!("{}a {}", identity.unwrap_or_default(), form_name(description.form)).replace("a not ", "not "),
    );
    line("  size", format!("{} bytes, sha256 {}", description.bytes, description.digest));
    if let Some(contract) = &description.contract {
        let world = description.world.map_or("unknown", |world| world.name());
        line("  contract", format!("mapper-host:mapper@{contract}, world {world}"));
    }
    if let Some(duration) = description.compiled_in {
        line("  compile", format!("{:.1} ms", duration.as_secs_f64() * 1e3));
    }
    if let (Some(duration), Some(memory)) = (description.started_in, description.start_memory_bytes) {
        let limit = Bytes(guest.limits.memory_bytes as u64);
        let memory = format!("{:.1} MiB of {limit} memory", memory as f64 / f64::from(1 << 20));
        line("  instance", format!("{:.2} ms, {memory}", duration.as_secs_f64() * 1e3));
    }
    for (index, import) in description.imports.iter().enumerate() {
        let text = format!("{:<13}{}: {}", import.access.name(), import.name, import.about);
        let line = Line::from(format!("{:<12}", if index == 0 { "  imports" } else { "" }));
        lines.push(if import.access == Access::Unsupported {
            line.coloured(Colour::Red, text)
        } else {
            line.text(text)
        });
    }
    let line = Line::from(format!("{:<12}", "  valid"));
    let reason = match &description.plugin {
        Ok(_) => {
            lines.push(line.coloured(Colour::Green, "yes"));
            return lines;
        }
        Err(error) => format!("no ({}): {}", stage_name(error.stage), error.reason),
    };
    // A reason can have several lines, for example with a backtrace.
    let mut reason = reason.lines();
    lines.push(line.coloured(Colour::Red, reason.next().unwrap_or_default()));
    lines.extend(reason.map(|more| Line::from(format!("{:<12}", "")).coloured(Colour::Red, more)));
    lines
}
