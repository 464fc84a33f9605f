//! Counts what makes a component expensive to compile, before anything is compiled: a few bytes can declare millions of things.

use wasmparser::{CompositeInnerType, FunctionBody, Operator, Parser, Payload, TypeSectionReader};

use mapper_core::bytes::Bytes;

/// Components and modules within each other. `wit-component` makes 2.
const MAX_DEPTH: usize = 100;

/// What is counted.
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
    /// For each function its locals, times its branches: a compiler follows each local through each branch.
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

    /// The memory that one takes in the compiler, roughly and rather too little: it is the helper process that bounds it.
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

/// The counts of one component.
#[derive(Debug, Default)]
struct Counts([u64; Count::ALL.len()]);

impl Counts {
    fn add(&mut self, count: Count, number: impl Into<u64>) {
        let total = &mut self.0[count as usize];
        *total = total.saturating_add(number.into());
    }

    fn check(&self, memory_bytes: u64) -> Result<(), String> {
        for count in Count::ALL {
            let (total, most) = (self.0[count as usize], memory_bytes / count.bytes());
            if total > most {
                return Err(format!(
                    "it has too many {} to be compiled: {total} or more, and {most} at most fit into {} (--compile-memory). Make it \
                     smaller, or raise the limit",
                    count.name(),
                    Bytes(memory_bytes)
                ));
            }
        }
        Ok(())
    }
}

/// The functions of the module that is read.
#[derive(Default)]
struct Module {
    /// The parameters of each type.
    parameters: Vec<u32>,
    /// The parameters of each function that has a body.
    functions: std::vec::IntoIter<u32>,
}

/// Refuses a component that can't be compiled within this much memory. What is not valid is the compiler's to refuse.
///
/// # Errors
/// What there is too much of, and the limit.
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
                        "its components are nested too deeply: {MAX_DEPTH} levels at most. Compose it in another way"
                    ));
                }
                module = Module::default();
                counts.add(Parts, 1_u64);
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            other => {
                // What can't be read ends the count: nothing behind it is compiled.
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
            let of = |index: u32| module.parameters.get(index as usize).copied().unwrap_or_default();
            let functions = section.clone().into_iter().map(|index| index.ok().map(of));
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

/// The parameters of each type; types of a group count one by one.
fn parameters(section: &TypeSectionReader<'_>, counts: &mut Counts) -> Option<Vec<u32>> {
    let mut parameters = Vec::new();
    for group in section.clone() {
        let group = group.ok()?;
        counts.add(Types, group.types().len() as u64 - 1);
        parameters.extend(group.types().map(|of| match &of.composite_type.inner {
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

    fn refused(text: &str) -> String {
        check(&wat::parse_str(text).unwrap(), MEMORY).err().unwrap_or_default()
    }

    fn in_component(module: &str) -> String {
        format!("(component (core module {module}))")
    }

    #[test]
    fn ordinary_component_is_not_refused() {
        assert_eq!(refused("(component)"), "");
        let body = format!("(func (param i32) {})", "(block (br_if 0 (local.get 0)))".repeat(10_000));
        assert_eq!(refused(&in_component(&format!("(memory 1) (data (i32.const 0) \"x\") {body}"))), "");
        // The compiler says what is wrong with these.
        assert_eq!(check(b"", MEMORY), Ok(()));
        assert_eq!(check(b"\0asm\x0d\0\x01\0\x01\xff\xff", MEMORY), Ok(()));
    }

    #[test]
    fn component_that_declares_too_much_is_refused_with_count_limit_and_setting() {
        let locals = format!("(func (local {}))", "i32 ".repeat(50_000));
        assert_eq!(
            refused(&in_component(&locals.repeat(22))),
            "it has too many locals and parameters to be compiled: 1050000 or more, and 1048576 at most fit into 16MiB \
             (--compile-memory). Make it smaller, or raise the limit"
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
            let refusal = refused(&text);
            assert!(refusal.contains(name) && refusal.contains("--compile-memory"), "{name}: {refusal:?}");
        }
    }

    #[test]
    fn component_that_is_nested_too_deeply_is_refused() {
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
        assert!(nested(MAX_DEPTH + 1).unwrap_err().contains("nested too deeply: 100 levels at most"));
    }
}
