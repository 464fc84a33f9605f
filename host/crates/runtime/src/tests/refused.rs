//! Files that are not plugins, and the errors for them.

use super::*;
use crate::{Access, Description, Form, World, describe};

const SKIP: &str = "(i32.const 2048)";

fn described(bytes: &[u8]) -> Description {
    let engine = Arc::new(Engine::new(Limits::default(), None).expect("an engine"));
    describe(&engine, bytes, &[], Effort::OneThread)
}

fn reason(bytes: &[u8]) -> String {
    match described(bytes).plugin {
        Ok(plugin) => panic!("{} is accepted", plugin.identity.name),
        Err(error) => error.reason,
    }
}

#[test]
fn error_names_the_type_of_a_file_that_is_no_component() {
    assert_eq!(reason(b""), "not WebAssembly: the file is empty");
    assert_eq!(reason(b"#!/bin/sh"), "not WebAssembly: the file does not begin with \\0asm");
    let module = wat::parse_str("(module)").unwrap();
    assert!(
        reason(&module)
            .starts_with("not a component: a core WebAssembly module. Build its project with `mapper-host build DIR`")
    );
    assert_eq!(described(&module).form, Form::Module);
    let whole = guest(RECORD, SKIP);
    let cut = reason(&whole[..whole.len() / 2]);
    assert!(cut.starts_with("not valid WebAssembly: "), "{cut}");
}

#[test]
fn error_names_the_exports_of_a_component_that_is_no_mapper() {
    let empty = wat::parse_str("(component)").unwrap();
    assert!(reason(&empty).contains("It exports nothing"), "{}", reason(&empty));
    let newer = component(&core(RECORD, SKIP).replace("@1.0.0", "@1.7.0"), &WIT.replace("@1.0.0", "@1.7.0"), RECORD);
    assert!(reason(&newer).contains("unsupported contract version 1.7.0: this host supports 1.0.0. Upgrade the host"));
    assert_eq!(described(&newer).contract.as_deref(), Some("1.7.0"));
}

#[test]
fn error_names_a_missing_or_mismatched_function() {
    let without = WIT.replace("    configure: func(settings: list<tuple<string, string>>) -> result<_, string>;", "");
    let module = core(RECORD, SKIP).replace(
        "(func (export \"mapper-host:mapper/plugin@1.0.0#configure\") (param i32 i32) (result i32) (i32.const 1100))",
        "",
    );
    let missing = reason(&component(&module, &without, RECORD));
    assert!(missing.contains("plugin@1.0.0 has no function 'configure'"), "{missing}");

    let other = WIT.replace("process: func(batch: batch) -> verdicts;", "process: func(batch: batch) -> u32;");
    let other = reason(&component(&core(BATCH, SKIP), &other, BATCH));
    assert!(other.contains("function 'process' of mapper-host:mapper/batch-mapper@1.0.0 has another type"), "{other}");
    let field = WIT.replace("timestamp-ms: option<s64>,", "timestamp-ms: option<u64>,");
    let field = reason(&component(&core(RECORD, SKIP), &field, RECORD));
    assert!(field.contains("function 'process'") && field.contains("timestamp-ms"), "{field}");
}

#[test]
fn unsupported_import_is_rejected_before_instantiation() {
    let wit = WIT.replace(
        "world mapper {",
        "interface vault { open: func(name: string) -> u32; }\nworld mapper {\n    import vault;",
    );
    let imported = "(module (import \"mapper-host:mapper/vault@1.0.0\" \"open\" (func (param i32 i32) (result i32)))";
    // The start function would spin.
    let spins = "(func $start (loop (br 0))) (start $start)";
    let module = core(RECORD, SKIP).replacen("(module", &format!("{imported} {spins}"), 1);
    let description = described(&component(&module, &wit, RECORD));
    let Err(LoadError { stage, reason }) = description.plugin else { panic!("the plugin is accepted") };
    assert_eq!(stage, Stage::Compile);
    assert!(reason.contains("unsupported imports: mapper-host:mapper/vault@1.0.0 (not in the contract"), "{reason}");
    let unsupported: Vec<_> =
        description.imports.iter().filter(|import| import.access == Access::Unsupported).collect();
    assert_eq!(unsupported.len(), 1);
}

#[test]
fn import_with_another_type_is_named() {
    let wit = WIT.replace("log: func(level: level, message: string);", "log: func(message: string) -> bool;");
    let imported = "(module (import \"mapper-host:mapper/logging@1.0.0\" \"log\" (func (param i32 i32) (result i32)))";
    let module = core(RECORD, SKIP).replacen("(module", imported, 1);
    let reason = reason(&component(&module, &wit, RECORD));
    assert!(
        reason.contains("an import has another type than the host provides")
            && reason.contains("mapper-host:mapper/logging"),
        "{reason}"
    );
}

#[test]
fn valid_plugin_is_described_completely() {
    for (world, kind) in [(BATCH, World::Batch), (RECORD, World::Record)] {
        let bytes = guest(world, SKIP);
        let description = described(&bytes);
        assert_eq!((description.form, description.world), (Form::Component, Some(kind)));
        assert_eq!((kind.name(), description.contract.as_deref()), (world, Some("1.0.0")));
        let identity = description.identity.expect("it is loaded");
        assert_eq!(
            (identity.name.as_str(), identity.version.as_str(), identity.bytes),
            ("guest", "1", bytes.len() as u64)
        );
        assert_eq!(description.start_memory_bytes, Some(4 << 16));
        assert!(description.compiled_in.is_some() && description.started_in.is_some() && description.plugin.is_ok());
        assert!(description.exports.contains(&"mapper-host:mapper/plugin@1.0.0".to_owned()));
    }
}

#[test]
fn empty_or_overlong_name_is_rejected() {
    // The length of the name: 0, and one above the limit.
    for (length, words) in
        [("\\00\\00", "invalid name in plugin info: 0 bytes"), ("\\c9\\00", "invalid name in plugin info: 201 bytes")]
    {
        let module = core(RECORD, SKIP).replacen("\\05\\00", length, 1);
        let error = reason(&component(&module, WIT, RECORD));
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn reason_with_many_names_is_truncated() {
    let names: String = (0..900).map(|number| format!("(export \"a:b/c{number}\" (instance $i))")).collect();
    let reason = reason(&wat::parse_str(format!("(component (instance $i) {names})")).unwrap());
    assert!(reason.len() < 5 << 10 && reason.ends_with('…'), "{}", reason.len());
}
