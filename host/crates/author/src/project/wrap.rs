//! Converts a core module to a component: embeds the contract, and adapts WASI 0.1 to WASI 0.2.

use std::path::Path;

use anyhow::Context;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use mapper_state::files::{self, Limit};

/// A debug build can be larger than its plugin.
const MODULE_LIMIT: Limit = Limit::new("a module", 1 << 30);

/// `wit` is the directory of the contract.
///
/// # Errors
/// The contract can't be read, or the module lacks an export of the world.
pub(super) fn component(mut module: Vec<u8>, wit: &Path, world: &str) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).with_context(|| format!("reading the contract in {}", wit.display()))?;
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module)?.adapter(ADAPTER_NAME, ADAPTER)?.encode()
}

/// Replaces the core module in a file by its component.
pub(super) fn convert_in_place(file: &Path, wit: &Path, world: &str) -> anyhow::Result<()> {
    let module =
        files::read(file, MODULE_LIMIT).with_context(|| format!("the build did not create {}", file.display()))?;
    let component = component(module, wit, world).context("converting the module to a component")?;
    std::fs::write(file, component).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::wit;
    use super::*;

    #[test]
    fn missing_export_is_named() {
        let work = tempfile::tempdir().unwrap();
        let wit = wit::dir(work.path(), work.path()).unwrap();
        let module = wat::parse_str("(module (memory (export \"memory\") 1))").unwrap();
        let error = format!("{:#}", component(module, &wit, wit::RECORD_WORLD).unwrap_err());
        assert!(error.contains("mapper-host:mapper/plugin@1.0.0"), "{error}");
    }
}
