//! What is no plugin, and in which words that is said.

use super::*;
use crate::{Access, Description, Form, World, describe};

const SKIP: &str = "(i32.const 2048)";

fn described(bytes: &[u8]) -> Description {
    let engine = Arc::new(Engine::new(Limits::default(), None).expect("an engine"));
    describe(&engine, bytes, &[], Effort::OneThread)
}

fn reason(bytes: &[u8]) -> String {
    match described(bytes).plugin {
        Ok(plugin) => panic!("{} is taken", plugin.identity.name),
        Err((_, reason)) => reason,
    }
}

#[test]
fn what_is_no_component_is_told_what_it_is() {
    assert_eq!(reason(b""), "it is not WebAssembly: the file is empty");
    assert_eq!(reason(b"#!/bin/sh"), "it is not WebAssembly: it doesn't begin with \\0asm");
    let module = wat::parse_str("(module)").unwrap();
    assert!(reason(&module).starts_with(
        "it is a core WebAssembly module, not a component; make one of its project with `mapper-host build DIR`"
    ));
    assert_eq!(described(&module).form, Form::Module);
    let whole = guest(RECORD, SKIP);
    let cut = reason(&whole[..whole.len() / 2]);
    assert!(cut.starts_with("it is not valid WebAssembly: "), "{cut}");
}

#[test]
fn what_is_no_mapper_is_told_what_it_exports() {
    let empty = wat::parse_str("(component)").unwrap();
    assert!(reason(&empty).contains("but nothing at all"), "{}", reason(&empty));
    let newer = component(&core(RECORD, SKIP).replace("@1.0.0", "@1.7.0"), &WIT.replace("@1.0.0", "@1.7.0"), RECORD);
    assert!(reason(&newer).contains("version 1.7.0 of the contract; this host speaks 1.0.0. That is newer"));
    assert_eq!(described(&newer).contract.as_deref(), Some("1.7.0"));
}

#[test]
fn a_function_that_is_missing_or_of_another_type_is_named() {
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
fn every_import_that_is_not_given_is_named_before_anything_runs() {
    let wit = WIT.replace(
        "world mapper {",
        "interface vault { open: func(name: string) -> u32; }\nworld mapper {\n    import vault;",
    );
    let imported = "(module (import \"mapper-host:mapper/vault@1.0.0\" \"open\" (func (param i32 i32) (result i32)))";
    // It would spin as soon as it ran.
    let spins = "(func $start (loop (br 0))) (start $start)";
    let module = core(RECORD, SKIP).replacen("(module", &format!("{imported} {spins}"), 1);
    let description = described(&component(&module, &wit, RECORD));
    let Err((stage, reason)) = description.plugin else { panic!("it is taken") };
    assert_eq!(stage, Stage::Compile);
    assert!(
        reason
            .contains("it imports what a plugin is not given: mapper-host:mapper/vault@1.0.0 (no part of the contract"),
        "{reason}"
    );
    let refused: Vec<_> = description.imports.iter().filter(|import| import.access == Access::Refused).collect();
    assert_eq!(refused.len(), 1);
}

#[test]
fn an_import_of_another_type_is_told_from_one_that_is_unknown() {
    let wit = WIT.replace("log: func(level: level, message: string);", "log: func(message: string) -> bool;");
    let imported = "(module (import \"mapper-host:mapper/logging@1.0.0\" \"log\" (func (param i32 i32) (result i32)))";
    let module = core(RECORD, SKIP).replacen("(module", imported, 1);
    let reason = reason(&component(&module, &wit, RECORD));
    assert!(
        reason.contains("in another form than this host has it") && reason.contains("mapper-host:mapper/logging"),
        "{reason}"
    );
}

#[test]
fn a_plugin_that_fits_is_described_in_full() {
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
fn names_and_versions_that_are_none_are_refused() {
    // The length of the name: none, and one more than is taken.
    for (length, words) in [("\\00\\00", "its name has 0 bytes"), ("\\c9\\00", "its name has 201 bytes")] {
        let module = core(RECORD, SKIP).replacen("\\05\\00", length, 1);
        let refused = reason(&component(&module, WIT, RECORD));
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn reason_with_very_many_names_is_cut() {
    let names: String = (0..900).map(|number| format!("(export \"a:b/c{number}\" (instance $i))")).collect();
    let reason = reason(&wat::parse_str(format!("(component (instance $i) {names})")).unwrap());
    assert!(reason.len() < 5 << 10 && reason.ends_with('…'), "{}", reason.len());
}
