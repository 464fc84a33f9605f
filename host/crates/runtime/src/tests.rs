//! Guests in the WebAssembly text format, for output that no compiler emits.

mod hostile;
mod mutated;
mod refused;
mod resources;

use std::sync::Arc;

use harness::components::{BATCH, WIT, component};

use super::{CONTRACT_VERSION, Effort, Engine, Limits, LoadError, Outline, Plugin, PluginMapper, Stage, World};
use mapper_core::record::Batch;
use mapper_core::verdict::{Verdict, Verdicts};
use mapper_pipeline::contracts::Mapper;

const RECORD: &str = "mapper";

/// The memory has the return values of `describe` (name and version) and of `configure` (no error). The memory from 2048 on is
/// for the return value of `process`.
const PLUGIN: &str = r#"
    (memory (export "memory") 4)
    (global $free (mut i32) (i32.const 131072))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $at i32)
        (global.set $free (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (local.set $at (global.get $free))
        (global.set $free (i32.add (global.get $free) (local.get 3)))
        (local.get $at))
    (data (i32.const 1024) "\10\04\00\00\05\00\00\00\20\04\00\00\01\00\00\00")
    (data (i32.const 1040) "guest")
    (data (i32.const 1056) "1")
    (func (export "mapper-host:mapper/plugin@1.0.0#describe") (result i32) (i32.const 1024))
    (func (export "mapper-host:mapper/plugin@1.0.0#configure") (param i32 i32) (result i32) (i32.const 1100))
"#;

/// The flat parameters of `process` in the world `mapper`.
const INPUT: &str = "(param i32 i32 i32 i64 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32)";

/// A core module with the plugin exports and a `process` with this body.
fn core(world: &str, body: &str) -> String {
    let (interface, parameters) =
        if world == BATCH { ("batch-mapper", "(param i32)") } else { ("record-mapper", INPUT) };
    format!(
        "(module {PLUGIN} (func (export \"mapper-host:mapper/{interface}@1.0.0#process\") {parameters} (result i32) {body}))"
    )
}

fn guest(world: &str, body: &str) -> Vec<u8> {
    component(&core(world, body), WIT, world)
}

fn load(limits: Limits, bytes: &[u8]) -> Result<Plugin, LoadError> {
    let engine = Arc::new(Engine::new(limits, None).expect("an engine"));
    Plugin::from_bytes(&engine, bytes, &[], Effort::Full)
}

/// Formats the verdict on each of several equal records.
fn verdicts(mapper: &mut PluginMapper, records: usize) -> Vec<String> {
    let mut batch = Batch::new("visits");
    (0..records).for_each(|offset| batch.push((0, offset as i64), 0, None, Some(b"v"), std::iter::empty()));
    let mut verdicts = Verdicts::default();
    mapper.map(&batch, &mut verdicts);
    let texts = verdicts.iter().zip(batch.records()).map(|(verdict, record)| match verdict {
        Verdict::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
        Verdict::Mapped(outputs) => outputs
            .map(|output| {
                let headers = output.own_headers().map(Iterator::count);
                format!("{:?} {:?} {:?} {headers:?}", output.topic(), output.key(record), output.value(record))
            })
            .collect(),
    });
    texts.collect()
}

fn mapper(limits: Limits, world: &str, body: &str) -> PluginMapper {
    let plugin = load(limits, &guest(world, body)).unwrap_or_else(|error| panic!("{error}\n{body}"));
    PluginMapper::new(Arc::new(plugin))
}

#[test]
fn outline_of_a_file_is_that_of_the_compiled_component() {
    for (bytes, world) in
        [(guest(BATCH, "(i32.const 2048)"), "mapper-batch"), (guest(RECORD, "(i32.const 2048)"), "mapper")]
    {
        let outline = Outline::read(&bytes).unwrap();
        assert_eq!(Some(outline.clone()), load(Limits::default(), &bytes).ok().map(|plugin| (*plugin.outline).clone()));
        assert_eq!(
            (outline.contract.as_deref(), outline.world.map(World::name)),
            (Some(CONTRACT_VERSION), Some(world))
        );
    }
    let module = wat::parse_str("(module)").unwrap();
    assert_eq!([&b""[..], b"text", &module, b"\0asm\x0d\0\x01\0\xff"].map(Outline::read), [None, None, None, None]);
}
