//! Small components that need very much of a compiler or of a reader of debug information.

use std::iter::repeat_n;

use crate::components::{BATCH, BY_HAND, WIT, component_of, module};

const CONFIGURE: &str = "plugin@1.0.0#configure\") (param i32 i32) (result i32) (i32.const 1100))";
const PROCESS: &str = "(local.set $count (i32.load offset=20 (local.get $batch)))";

/// The fault of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It traps in `configure`.
    TrapInConfigure,
    /// It never returns from `configure`.
    SpinInConfigure,
    /// It traps at each record.
    TrapInProcess,
}

/// Custom sections of a module, by their names.
pub type Sections = Vec<(&'static str, Vec<u8>)>;

/// A number in the encoding of WebAssembly and DWARF (LEB128).
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = number >> 7;
        bytes.push((number & 0x7f) as u8 | if more > 0 { 0x80 } else { 0 });
        if more == 0 {
            return bytes;
        }
        number = more;
    }
}

fn with_length(content: &[u8]) -> Vec<u8> {
    [&leb(content.len()), content].concat()
}

/// A guest with these custom sections.
pub fn guest(fault: Fault, sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let configure = |body: &str| BY_HAND.replace(CONFIGURE, &CONFIGURE.replace("(i32.const 1100)", body));
    let text = match fault {
        Fault::None => BY_HAND.to_owned(),
        Fault::TrapInConfigure => configure("unreachable"),
        Fault::SpinInConfigure => configure("(loop (br 0)) unreachable"),
        Fault::TrapInProcess => BY_HAND.replace(PROCESS, &format!("unreachable {PROCESS}")),
    };
    assert!(fault == Fault::None || text != BY_HAND, "the guest by hand has another form");
    // Named, so that a backtrace has a name to show.
    let text = text.replace(
        "(func (export \"mapper-host:mapper/batch-mapper",
        "(func $process (export \"mapper-host:mapper/batch-mapper",
    );
    let mut module = module(&text);
    for (name, data) in sections {
        let content = [&with_length(name.as_bytes()), &data[..]].concat();
        module.push(0);
        module.extend(with_length(&content));
    }
    component_of(module, WIT, BATCH)
}

/// A working guest with a further module that is unused, but compiled with it.
pub fn with_module(module: &[u8]) -> Vec<u8> {
    let mut component = guest(Fault::None, &[]);
    component.push(1);
    component.extend(with_length(module));
    component
}

/// A module with this number of functions and locals in each: a few bytes declare hundreds of thousands of locals.
pub fn locals(functions: usize, locals: usize) -> Vec<u8> {
    let section = |id: u8, content: &[u8]| [&[id][..], &with_length(content)].concat();
    // One group of locals of type i64, and the end.
    let body = with_length(&[&[1][..], &leb(locals), &[0x7e, 0x0b]].concat());
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[leb(functions), vec![0; functions]].concat()),
        section(10, &[leb(functions), body.repeat(functions)].concat()),
    ]
    .concat()
}

/// A module of one function with this number of instructions, each of which uses the result of the one before.
pub fn long_function(instructions: usize) -> Vec<u8> {
    let text =
        format!("(module (func (param i64) (result i64) local.get 0 {}))", "local.get 0 i64.mul ".repeat(instructions));
    module(&text)
}

// The abbreviations of the debug information below, with their meaning.
const UNIT: u8 = 1;
const FUNCTION: u8 = 2;
const INLINED: u8 = 3;
const REFERRING: u8 = 4;

/// Of `UNIT`, `FUNCTION` (both with addresses from and to), `INLINED` (with nothing) and `REFERRING` (with its origin).
fn abbreviations() -> Vec<u8> {
    let addresses = [0x11, 0x01, 0x12, 0x06];
    [
        &[UNIT, 0x11, 1][..],
        &addresses,
        // The offset of its line table.
        &[0x10, 0x17, 0, 0],
        &[FUNCTION, 0x2e, 1],
        &addresses,
        &[0, 0],
        &[INLINED, 0x1d, 1, 0, 0],
        &[REFERRING, 0x2e, 0],
        &addresses,
        &[0x31, 0x13, 0, 0],
        &[0],
    ]
    .concat()
}

/// A unit of debug information (DWARF 4) that covers all code.
fn unit(abbreviations_at: u32, entries: &[u8]) -> Vec<u8> {
    let content =
        [&[4, 0][..], &abbreviations_at.to_le_bytes(), &[4, UNIT], &ALL_CODE, &0_u32.to_le_bytes(), entries].concat();
    [&(content.len() as u32).to_le_bytes()[..], &content].concat()
}

/// The first address and the length.
const ALL_CODE: [u8; 8] = [0, 0, 0, 0, 0, 0, 1, 0];

fn sections(info: Vec<u8>, lines: Vec<u8>) -> Sections {
    vec![(".debug_abbrev", abbreviations()), (".debug_info", info), (".debug_line", lines)]
}

/// Functions that are inlined within each other, to this depth.
pub fn nested_functions(depth: usize) -> Sections {
    let entries = [&[FUNCTION][..], &ALL_CODE, &vec![INLINED; depth], &vec![0; depth + 2]].concat();
    sections(unit(0, &entries), line_table(1))
}

/// A function whose abstract origin is itself.
pub fn origin_of_itself() -> Sections {
    // Behind the header of the unit and its own entry.
    let at = 11 + 1 + 8 + 4_u32;
    sections(unit(0, &[&[REFERRING][..], &ALL_CODE, &at.to_le_bytes(), &[0]].concat()), line_table(1))
}

/// This number of units, each with its abbreviations at another offset of one long table.
pub fn many_units(units: usize) -> Sections {
    let table: Vec<u8> =
        (0..units).flat_map(|_| [&[INLINED, 0x1d, 1][..], &[0x11, 0x01].repeat(50), &[0, 0]].concat()).collect();
    let one = table.len() / units;
    let info = (0..units).flat_map(|unit_number| unit((unit_number * one) as u32, &[0])).collect();
    let mut sections = sections(info, line_table(1));
    sections[0].1 = [table, abbreviations()].concat();
    sections
}

/// A line table with this number of rows.
pub fn long_line_table(rows: usize) -> Sections {
    sections(unit(0, &[&[FUNCTION][..], &ALL_CODE, &[0, 0]].concat()), line_table(rows))
}

/// Each row takes one byte. Without a valid table a reader would not reach the functions.
fn line_table(rows: usize) -> Vec<u8> {
    let header = [
        &[1, 1, 1, 0xfb, 14, 13][..],
        &[0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1],
        // No folders, and one file.
        b"\0long.c\0\0\0\0\0",
    ]
    .concat();
    let program = [&[0, 5, 2, 0, 0, 0, 0][..], &repeat_n(0x20, rows).collect::<Vec<u8>>(), &[0, 1, 1]].concat();
    let content = [&[4, 0][..], &(header.len() as u32).to_le_bytes(), &header, &program].concat();
    [&(content.len() as u32).to_le_bytes()[..], &content].concat()
}
