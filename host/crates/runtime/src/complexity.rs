//! Estimates the cost of compiling a component before compiling it, because a few bytes can declare millions of items.

use wasmparser::{CompositeInnerType, FunctionBody, Operator, Parser, Payload, TypeSectionReader};

use mapper_core::bytes::Bytes;

/// Nesting of components and modules. `wit-component` emits 2 levels.
const MAX_DEPTH: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Parts,
    Types,
    Imports,
    Exports,
    Functions,
    Globals,
    Segments,
    Locals,
    Branches,
    /// Locals times branches of each function: a compiler tracks each local through each branch.
    LocalsByBranches,
}

use Count::{Branches, Exports, Functions, Globals, Imports, Locals, LocalsByBranches, Parts, Segments, Types};

impl Count {
    const ALL: [Self; 10] =
        [Parts, Types, Imports, Exports, Functions, Globals, Segments, Locals, Branches, LocalsByBranches];

    fn name(self) -> &'static str {
        match self {
            Parts => "modules, components and instances",
            Types => "types",
            Imports => "imports and aliases",
            Exports => "exports",
            Functions => "functions",
            Globals => "globals, tables and memories",
            Segments => "data and element segments",
            Locals => "locals and parameters",
            Branches => "blocks and branches",
            LocalsByBranches => "locals times branches",
        }
    }

    /// A low estimate of the compiler's memory per item. The helper process enforces the real limit.
    fn bytes(self) -> u64 {
        match self {
            Parts => 256 << 10,
            Types => 4 << 10,
            Imports | Exports | Globals | Segments => 1 << 10,
            Functions => 2 << 10,
            Locals => 16,
            Branches => 128,
            LocalsByBranches => 8,
        }
    }
}

#[derive(Debug, Default)]
struct Counts([u64; Count::ALL.len()]);

impl Counts {
    fn add(&mut self, count: Count, number: impl Into<u64>) {
        let total = &mut self.0[count as usize];
        *total = total.saturating_add(number.into());
    }

    fn check(&self, memory_bytes: u64) -> Result<(), String> {
        for count in Count::ALL {
            let (total, limit) = (self.0[count as usize], memory_bytes / count.bytes());
            if total > limit {
                return Err(format!(
                    "too many {}: at least {total}, but only {limit} fit into {} of memory for compiling (--compile-memory). Make \
                     the plugin smaller, or raise the limit",
                    count.name(),
                    Bytes(memory_bytes)
                ));
            }
        }
        Ok(())
    }
}

/// Function signatures of the current module.
#[derive(Default)]
struct Module {
    /// Parameter count of each type.
    parameters: Vec<u32>,
    /// Parameter count of each function with a body.
    functions: std::vec::IntoIter<u32>,
}

/// Rejects a component that needs more than `memory_bytes` to compile. The compiler rejects invalid components.
///
/// # Errors
/// The exceeded count, and its limit.
pub(super) fn check(component: &[u8], memory_bytes: u64) -> Result<(), String> {
    let mut counts = Counts::default();
    let mut module = Module::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else { break };
        match payload {
            Payload::Version { .. } => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!(
                        "components nested too deeply: the limit is {MAX_DEPTH} levels. Compose the plugin with fewer levels"
                    ));
                }
                module = Module::default();
                counts.add(Parts, 1_u64);
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            other => {
                // Malformed input ends the count, because the compiler stops there too.
                if count_section(&other, &mut counts, &mut module, memory_bytes).is_none() {
                    break;
                }
            }
        }
        counts.check(memory_bytes)?;
    }
    counts.check(memory_bytes)
}

fn count_section(payload: &Payload<'_>, counts: &mut Counts, module: &mut Module, memory_bytes: u64) -> Option<()> {
    match payload {
        Payload::TypeSection(section) => {
            counts.add(Types, section.count());
            counts.check(memory_bytes).ok()?;
            module.parameters = parameters(section, counts)?;
        }
        Payload::ImportSection(section) => counts.add(Imports, section.count()),
        Payload::FunctionSection(section) => {
            counts.add(Functions, section.count());
            counts.check(memory_bytes).ok()?;
            let parameter_count = |index: u32| module.parameters.get(index as usize).copied().unwrap_or_default();
            let functions = section.clone().into_iter().map(|index| index.ok().map(parameter_count));
            module.functions = functions.collect::<Option<Vec<_>>>()?.into_iter();
        }
        Payload::TableSection(section) => counts.add(Globals, section.count()),
        Payload::MemorySection(section) => counts.add(Globals, section.count()),
        Payload::TagSection(section) => counts.add(Globals, section.count()),
        Payload::GlobalSection(section) => counts.add(Globals, section.count()),
        Payload::ExportSection(section) => counts.add(Exports, section.count()),
        Payload::ElementSection(section) => counts.add(Segments, section.count()),
        Payload::DataSection(section) => counts.add(Segments, section.count()),
        Payload::CodeSectionEntry(body) => {
            let parameters = module.functions.next().unwrap_or_default();
            count_body(body, parameters, counts)?;
        }
        Payload::InstanceSection(section) => counts.add(Parts, section.count()),
        Payload::CoreTypeSection(section) => counts.add(Types, section.count()),
        Payload::ComponentInstanceSection(section) => counts.add(Parts, section.count()),
        Payload::ComponentAliasSection(section) => counts.add(Imports, section.count()),
        Payload::ComponentTypeSection(section) => counts.add(Types, section.count()),
        Payload::ComponentCanonicalSection(section) => counts.add(Functions, section.count()),
        Payload::ComponentImportSection(section) => counts.add(Imports, section.count()),
        Payload::ComponentExportSection(section) => counts.add(Exports, section.count()),
        _ => {}
    }
    Some(())
}

/// Parameter count of each type. Each type of a recursion group counts.
fn parameters(section: &TypeSectionReader<'_>, counts: &mut Counts) -> Option<Vec<u32>> {
    let mut parameters = Vec::new();
    for group in section.clone() {
        let group = group.ok()?;
        counts.add(Types, group.types().len() as u64 - 1);
        parameters.extend(group.types().map(|kind| match &kind.composite_type.inner {
            CompositeInnerType::Func(function) => function.params().len() as u32,
            _ => 0,
        }));
    }
    Some(parameters)
}

fn count_body(body: &FunctionBody<'_>, parameters: u32, counts: &mut Counts) -> Option<()> {
    let mut locals = u64::from(parameters);
    for group in body.get_locals_reader().ok()? {
        locals = locals.saturating_add(group.ok()?.0.into());
    }
    counts.add(Locals, locals);
    let mut branches = 0_u64;
    for operator in body.get_operators_reader().ok()? {
        branches += match operator.ok()? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } | Operator::BrIf { .. } => 1,
            Operator::BrTable { targets } => u64::from(targets.len()) + 1,
            _ => 0,
        };
    }
    counts.add(Branches, branches);
    counts.add(LocalsByBranches, locals.saturating_mul(branches));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: u64 = 16 << 20;

    fn rejection(text: &str) -> String {
        check(&wat::parse_str(text).unwrap(), MEMORY).err().unwrap_or_default()
    }

    fn in_component(module: &str) -> String {
        format!("(component (core module {module}))")
    }

    #[test]
    fn ordinary_component_passes() {
        assert_eq!(rejection("(component)"), "");
        let body = format!("(func (param i32) {})", "(block (br_if 0 (local.get 0)))".repeat(10_000));
        assert_eq!(rejection(&in_component(&format!("(memory 1) (data (i32.const 0) \"x\") {body}"))), "");
        // The compiler rejects these.
        assert_eq!(check(b"", MEMORY), Ok(()));
        assert_eq!(check(b"\0asm\x0d\0\x01\0\x01\xff\xff", MEMORY), Ok(()));
    }

    #[test]
    fn oversized_component_is_rejected_with_count_limit_and_setting() {
        let locals = format!("(func (local {}))", "i32 ".repeat(50_000));
        assert_eq!(
            rejection(&in_component(&locals.repeat(22))),
            "too many locals and parameters: at least 1050000, but only 1048576 fit into 16MiB of memory for compiling \
             (--compile-memory). Make the plugin smaller, or raise the limit"
        );
        let parameters = format!("(type (func (param {}))) {}", "i32 ".repeat(1000), "(func (type 0))".repeat(1100));
        let targets = format!("(func (br_table {} (i32.const 0)))", "0 ".repeat(140_000));
        let cases = [
            (in_component(&parameters), "locals and parameters"),
            (
                in_component(&format!("(func (local {}) {})", "i32 ".repeat(3000), "(block)".repeat(1000))),
                "locals times",
            ),
            (in_component(&targets), "blocks and branches"),
            (in_component(&format!("(func {})", "(block)".repeat(140_000))), "blocks and branches"),
            (in_component(&"(func)".repeat(9000)), "functions"),
            (in_component(&format!("(rec {})", "(type (func))".repeat(5000))), "types"),
            (in_component(&"(global i32 (i32.const 0))".repeat(20_000)), "globals"),
            (in_component(&format!("(memory 1) {}", "(data \"\")".repeat(20_000))), "segments"),
            (in_component(&"(import \"a\" \"b\" (global i32))".repeat(20_000)), "imports"),
            (format!("(component {})", "(component)".repeat(100)), "modules, components"),
            (format!("(component {})", "(type (list u8))".repeat(5000)), "types"),
        ];
        for (text, name) in cases {
            let rejection = rejection(&text);
            assert!(rejection.contains(name) && rejection.contains("--compile-memory"), "{name}: {rejection:?}");
        }
    }

    #[test]
    fn deeply_nested_component_is_rejected() {
        const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
        let nested = |levels: usize| {
            let component = (1..levels).fold(EMPTY.to_vec(), |inner, _| {
                // The length of the section, as LEB128.
                let length = [inner.len() as u8 & 0x7f | 0x80, (inner.len() >> 7) as u8];
                [EMPTY, &[4], &length, &inner].concat()
            });
            check(&component, 1 << 30)
        };
        assert_eq!(nested(MAX_DEPTH), Ok(()));
        assert!(nested(MAX_DEPTH + 1).unwrap_err().contains("nested too deeply: the limit is 100 levels"));
    }
}
