//! From the core module that a compiler made to a component: the contract is written into it, and WASI 0.1, which it was compiled
//! for, is translated to WASI 0.2.

use std::path::Path;

use anyhow::Context;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use mapper_state::files::{self, Limit};

/// A debug build may be larger than the plugin that is made of it.
const MODULE: Limit = Limit::new("a module", 1 << 30);

/// The component of a core module that has the exports of this world, in the contract in the folder `wit`.
///
/// # Errors
/// When the contract can't be read, or the module hasn't what the world asks for; the message then names it.
pub(super) fn component(mut module: Vec<u8>, wit: &Path, world: &str) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).with_context(|| format!("the contract in {}", wit.display()))?;
    let world = resolve.select_world(&[package], Some(world))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module)?.adapter(ADAPTER_NAME, ADAPTER)?.encode()
}

/// Makes the component of the core module in a file, in that file.
pub(super) fn in_place(file: &Path, wit: &Path, world: &str) -> anyhow::Result<()> {
    let module = files::read(file, MODULE).with_context(|| format!("the build made no {}", file.display()))?;
    let component = component(module, wit, world).context("making a component of the module")?;
    std::fs::write(file, component).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::wit;
    use super::*;

    #[test]
    fn a_module_that_lacks_an_export_is_refused_with_its_name() {
        let work = tempfile::tempdir().unwrap();
        let wit = wit::folder(work.path(), work.path()).unwrap();
        let module = wat::parse_str("(module (memory (export \"memory\") 1))").unwrap();
        let error = format!("{:#}", component(module, &wit, wit::RECORD_WORLD).unwrap_err());
        assert!(error.contains("mapper-host:mapper/plugin@1.0.0"), "{error}");
    }
}
