//! Whether a component keeps to the contract: what it exports, of which version, and with which types.

use wasmtime::component::types::{self, ComponentItem};
use wasmtime::component::{Component, ComponentNamedList, Lift, Lower};

use super::bindings::batch_world::exports::mapper_host::mapper::batch_mapper as flat;
use super::bindings::batch_world::exports::mapper_host::mapper::plugin;
use super::bindings::record_world::mapper_host::mapper::types as single;

/// The version of `wit/mapper.wit` that this host speaks.
pub const CONTRACT_VERSION: &str = "1.0.0";
pub(super) const PACKAGE: &str = "mapper-host:mapper";

/// The world of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// `mapper-batch`: a batch a call.
    Batch,
    /// `mapper`: one record a call.
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

/// What a component says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exports {
    /// All of its exports.
    pub(super) names: Vec<String>,
    /// The worlds that it has the interface of; the one that is taken comes first.
    pub(super) worlds: Vec<World>,
    /// The version of the contract in its exports.
    pub(super) version: Option<String>,
}

impl Exports {
    pub(super) fn of(engine: &wasmtime::Engine, component: &Component) -> Self {
        let component = component.component_type();
        Self::named(component.exports(engine).map(|(name, _)| name.to_owned()).collect())
    }

    fn named(names: Vec<String>) -> Self {
        let version = |interface: &str| {
            let found = names.iter().filter_map(|name| name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@'));
            found.filter(|(name, _)| *name == interface).map(|(_, version)| version.to_owned()).next()
        };
        let found: Vec<_> =
            [World::Batch, World::Record].into_iter().filter_map(|w| Some((w, version(w.interface())?))).collect();
        let version = found.first().map(|(_, version)| version.clone()).or_else(|| version("plugin"));
        Self { worlds: found.into_iter().map(|(world, _)| world).collect(), version, names }
    }

    /// The world that it is taken for.
    ///
    /// # Errors
    /// Why it is none that this host knows.
    pub(super) fn world(&self) -> Result<World, String> {
        if let Some(version) = self.version.as_deref().filter(|version| *version != CONTRACT_VERSION) {
            return Err(other_version(version));
        }
        self.worlds.first().copied().ok_or_else(|| {
            let but = match self.names.as_slice() {
                [] => "nothing at all".to_owned(),
                names => names.join(", "),
            };
            let hint = if self.names.iter().any(|name| name.starts_with("wasi:cli/run")) {
                "; it is a program with a main, but a plugin is a library (Rust: crate-type = [\"cdylib\"])"
            } else if self.names.iter().any(|name| name.starts_with("wasi:http/")) {
                "; it is a server for HTTP, but a plugin is called by the host"
            } else {
                ""
            };
            format!(
                "it is no mapper: it exports neither {PACKAGE}/record-mapper nor {PACKAGE}/batch-mapper (see \
                 wit/mapper.wit), but {but}{hint}"
            )
        })
    }
}

fn other_version(version: &str) -> String {
    let numbers = |version: &str| version.split('.').map_while(|part| part.parse().ok()).collect::<Vec<u64>>();
    let way_out = if numbers(version) > numbers(CONTRACT_VERSION) {
        "newer than this host knows: take a newer host, or build the plugin against wit/ of this one"
    } else {
        "older than this host knows: build the plugin anew, against wit/ of this host"
    };
    format!(
        "it was built against version {version} of the contract; this host speaks {CONTRACT_VERSION}. That is {way_out}"
    )
}

/// Checks that all functions of a world are there, and of their types.
///
/// # Errors
/// All that are not.
pub(super) fn check_functions(engine: &wasmtime::Engine, component: &Component, world: World) -> Result<(), String> {
    let component = component.component_type();
    let mut wrong = Vec::new();
    let mut check =
        |interface: &str, function: &str, typecheck: &dyn Fn(&types::ComponentFunc) -> wasmtime::Result<()>| {
            let interface = format!("{PACKAGE}/{interface}@{CONTRACT_VERSION}");
            let Some(export) = component.get_export(engine, &interface) else {
                wrong.push(format!("it doesn't export {interface}"));
                return;
            };
            let ComponentItem::ComponentInstance(instance) = export.ty else {
                wrong.push(format!("its export {interface} is no interface"));
                return;
            };
            match instance.get_export(engine, function).map(|export| export.ty) {
                Some(ComponentItem::ComponentFunc(found)) => {
                    if let Err(error) = typecheck(&found) {
                        wrong.push(format!("its function '{function}' of {interface} has another type: {error:#}"));
                    }
                }
                _ => wrong.push(format!("its export {interface} has no function '{function}'")),
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
    if wrong.is_empty() { Ok(()) } else { Err(format!("it doesn't keep to wit/mapper.wit: {}", wrong.join("; "))) }
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
        Exports::named(names.iter().map(|name| (*name).to_owned()).collect()).world()
    }

    #[test]
    fn the_world_is_told_by_the_exports_and_batches_come_first() {
        let plugin = "mapper-host:mapper/plugin@1.0.0";
        let (batch, record) = ("mapper-host:mapper/batch-mapper@1.0.0", "mapper-host:mapper/record-mapper@1.0.0");
        assert_eq!(world(&[plugin, record]), Ok(World::Record));
        assert_eq!(world(&[record, plugin, batch]), Ok(World::Batch));
    }

    #[test]
    fn what_is_no_mapper_is_told_what_it_is() {
        for (names, words) in [
            (&[][..], "but nothing at all"),
            (&["a:b/c@1.0.0"], "but a:b/c@1.0.0"),
            (&["wasi:cli/run@0.2.6"], "a program with a main"),
            (&["wasi:http/incoming-handler@0.2.6"], "a server for HTTP"),
            (&["mapper-host:mapper/plugin@1.0.0"], "exports neither"),
            (
                &["mapper-host:mapper/batch-mapper@1.1.0"],
                "version 1.1.0 of the contract; this host speaks 1.0.0. That is newer",
            ),
            (&["mapper-host:mapper/record-mapper@10.0.0"], "newer than this host knows: take a newer host"),
            (&["mapper-host:mapper/record-mapper@0.9.12"], "older than this host knows: build the plugin anew"),
        ] {
            let refused = world(names).unwrap_err();
            assert!(refused.contains(words), "{names:?}: {refused}");
        }
    }
}
