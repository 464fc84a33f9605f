//! Checks the exports of a component against the contract: names, version and types.

use wasmtime::component::types::{self, ComponentItem};
use wasmtime::component::{Component, ComponentNamedList, Lift, Lower};

use super::bindings::batch_world::exports::mapper_host::mapper::batch_mapper as flat;
use super::bindings::batch_world::exports::mapper_host::mapper::plugin;
use super::bindings::record_world::mapper_host::mapper::types as single;

/// The version of `wit/mapper.wit` that this host supports.
pub const CONTRACT_VERSION: &str = "1.0.0";
pub(super) const PACKAGE: &str = "mapper-host:mapper";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// `mapper-batch`: one batch per call.
    Batch,
    /// `mapper`: one record per call.
    Record,
}

impl World {
    /// Its name in `wit/mapper.wit`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "mapper-batch",
            Self::Record => "mapper",
        }
    }

    fn interface(self) -> &'static str {
        match self {
            Self::Batch => "batch-mapper",
            Self::Record => "record-mapper",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exports {
    pub(super) names: Vec<String>,
    /// The worlds whose interface is exported, the preferred one first.
    pub(super) worlds: Vec<World>,
    /// The contract version of the exports.
    pub(super) version: Option<String>,
}

impl Exports {
    pub(super) fn from_component(engine: &wasmtime::Engine, component: &Component) -> Self {
        let component = component.component_type();
        Self::from_names(component.exports(engine).map(|(name, _)| name.to_owned()).collect())
    }

    pub(super) fn from_names(names: Vec<String>) -> Self {
        let version = |interface: &str| {
            let found = names.iter().filter_map(|name| name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@'));
            found.filter(|(name, _)| *name == interface).map(|(_, version)| version.to_owned()).next()
        };
        let found: Vec<_> =
            [World::Batch, World::Record].into_iter().filter_map(|w| Some((w, version(w.interface())?))).collect();
        let version = found.first().map(|(_, version)| version.clone()).or_else(|| version("plugin"));
        Self { worlds: found.into_iter().map(|(world, _)| world).collect(), version, names }
    }

    /// The preferred world.
    ///
    /// # Errors
    /// The exports match no world, or another contract version.
    pub(super) fn world(&self) -> Result<World, String> {
        if let Some(version) = self.version.as_deref().filter(|version| *version != CONTRACT_VERSION) {
            return Err(version_mismatch(version));
        }
        self.worlds.first().copied().ok_or_else(|| {
            let exports = match self.names.as_slice() {
                [] => "nothing".to_owned(),
                names => names.join(", "),
            };
            let hint = if self.names.iter().any(|name| name.starts_with("wasi:cli/run")) {
                ". It is a command with a main function: build a library instead (Rust: crate-type = [\"cdylib\"])"
            } else if self.names.iter().any(|name| name.starts_with("wasi:http/")) {
                ". It is an HTTP server: implement the mapper interface instead"
            } else {
                ""
            };
            format!(
                "not a mapper component: it exports neither {PACKAGE}/record-mapper nor {PACKAGE}/batch-mapper (see \
                 wit/mapper.wit). It exports {exports}{hint}"
            )
        })
    }
}

fn version_mismatch(version: &str) -> String {
    let numbers = |version: &str| version.split('.').map_while(|part| part.parse().ok()).collect::<Vec<u64>>();
    let remedy = if numbers(version) > numbers(CONTRACT_VERSION) {
        "Upgrade the host, or build the plugin with wit/ of this release"
    } else {
        "Build the plugin again with wit/ of this release"
    };
    format!("unsupported contract version {version}: this host supports {CONTRACT_VERSION}. {remedy}")
}

/// Checks that a component exports all functions of a world with their types.
///
/// # Errors
/// All missing and mismatched functions.
pub(super) fn check_functions(engine: &wasmtime::Engine, component: &Component, world: World) -> Result<(), String> {
    let component = component.component_type();
    let mut mismatches = Vec::new();
    let mut check = |interface: &str,
                     function: &str,
                     typecheck: &dyn Fn(&types::ComponentFunc) -> wasmtime::Result<()>| {
        let interface = format!("{PACKAGE}/{interface}@{CONTRACT_VERSION}");
        let Some(export) = component.get_export(engine, &interface) else {
            mismatches.push(format!("no export {interface}"));
            return;
        };
        let ComponentItem::ComponentInstance(instance) = export.ty else {
            mismatches.push(format!("the export {interface} is not an interface"));
            return;
        };
        match instance.get_export(engine, function).map(|export| export.ty) {
            Some(ComponentItem::ComponentFunc(found)) => {
                if let Err(error) = typecheck(&found) {
                    mismatches.push(format!("the function '{function}' of {interface} has another type: {error:#}"));
                }
            }
            _ => mismatches.push(format!("the export {interface} has no function '{function}'")),
        }
    };
    check("plugin", "describe", &|found| typecheck::<(), (plugin::Info,)>(&component, found));
    check("plugin", "configure", &|found| typecheck::<(&[(&str, &str)],), (Result<(), String>,)>(&component, found));
    match world {
        World::Batch => check(world.interface(), "process", &|found| {
            typecheck::<(flat::Batch<'_>,), (flat::Verdicts,)>(&component, found)
        }),
        World::Record => check(world.interface(), "process", &|found| {
            typecheck::<(single::Input<'_>,), (Result<Vec<single::Output>, String>,)>(&component, found)
        }),
    }
    match mismatches.is_empty() {
        true => Ok(()),
        false => Err(format!("does not implement wit/mapper.wit: {}", mismatches.join("; "))),
    }
}

fn typecheck<Params, Return>(component: &types::Component, function: &types::ComponentFunc) -> wasmtime::Result<()>
where
    Params: ComponentNamedList + Lower,
    Return: ComponentNamedList + Lift,
{
    function.typecheck::<Params, Return>(&component.instance_type())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(names: &[&str]) -> Result<World, String> {
        Exports::from_names(names.iter().map(|name| (*name).to_owned()).collect()).world()
    }

    #[test]
    fn exports_select_the_world_and_batch_is_preferred() {
        let plugin = "mapper-host:mapper/plugin@1.0.0";
        let (batch, record) = ("mapper-host:mapper/batch-mapper@1.0.0", "mapper-host:mapper/record-mapper@1.0.0");
        assert_eq!(world(&[plugin, record]), Ok(World::Record));
        assert_eq!(world(&[record, plugin, batch]), Ok(World::Batch));
    }

    #[test]
    fn component_without_mapper_exports_is_rejected_with_a_hint() {
        for (names, words) in [
            (&[][..], "It exports nothing"),
            (&["a:b/c@1.0.0"], "It exports a:b/c@1.0.0"),
            (&["wasi:cli/run@0.2.6"], "a command with a main function"),
            (&["wasi:http/incoming-handler@0.2.6"], "an HTTP server"),
            (&["mapper-host:mapper/plugin@1.0.0"], "exports neither"),
            (
                &["mapper-host:mapper/batch-mapper@1.1.0"],
                "unsupported contract version 1.1.0: this host supports 1.0.0. Upgrade the host",
            ),
            (&["mapper-host:mapper/record-mapper@10.0.0"], "supports 1.0.0. Upgrade the host"),
            (&["mapper-host:mapper/record-mapper@0.9.12"], "supports 1.0.0. Build the plugin again"),
        ] {
            let error = world(names).unwrap_err();
            assert!(error.contains(words), "{names:?}: {error}");
        }
    }
}
